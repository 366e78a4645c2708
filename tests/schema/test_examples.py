"""The examples for frontends, each in its own process, over a connection that breaks."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from db.embedded import Cluster
from db.engine import Database
from db.tables import sessions, users
from tests.conftest import sign_in
from tests.support.clients import http_client
from tests.support.frontends import ENVIRONMENT, GRAPHQL
from tests.support.people import Person
from tests.support.proxy import Proxy, proxy_before
from tests.support.serving import Server, eventually, running_server
from tests.support.tables import tables

EXAMPLES = [
    "apollo.ts",
    "apollo.ts multipart",
    "apollo.ts single-connection",
    "urql.ts",
    "urql.ts own-reader",
    "relay/Chat.js",
    "graphql-sse.ts",
    "eventsource.ts",
    "python/chat.py",
]
ACROSS_WORKERS = ["graphql-sse.ts", "apollo.ts single-connection"]
NOTHING = "(nothing)"  # no line, or the end of the output
PATIENCE_SECONDS = 60  # all of them start at the same time
TALK_SECONDS = 240
HISTORY = [f"old {number}" for number in range(55)]  # more than two pages
UPDATE_MESSAGE = "mutation ($input: UpdateMessageInput!) { updateMessage(input: $input) { message { id } } }"
DELETE_MESSAGE = "mutation ($input: DeleteMessageInput!) { deleteMessage(input: $input) { message { id } } }"
READ_MESSAGES = (
    "mutation ($input: ReadMessagesInput!) { readMessages(input: $input) { conversation { id } } }"
)
UPDATE_PROFILE = (
    "mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { user { username } } }"
)


@dataclass
class Terminal:
    """A running example, with its input and output."""

    process: Process

    async def types(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def shows(self, *lines: str) -> None:
        """Expect these as the next lines, each once and in this order."""
        for line in lines:
            assert await self._line() == line

    async def shows_before(self, last: str) -> list[str]:
        """Return the next lines, up to this one."""
        lines: list[str] = []
        while (line := await self._line()) != last:
            assert line != NOTHING, lines
            lines.append(line)
        return lines

    async def _line(self) -> str:
        assert self.process.stdout is not None
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_SECONDS)
        except TimeoutError:
            return NOTHING
        return line.decode().rstrip("\n") if line else NOTHING

    async def ends(self) -> None:
        """Expect no more output, and no errors."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await self.process.communicate() == (b"", b"")
        assert self.process.returncode == 0


@asynccontextmanager
async def running(example: str, *arguments: str) -> AsyncGenerator[Terminal]:
    script, *options = example.split()
    command = [sys.executable] if script.endswith(".py") else ["node", "--import", "tsx"]
    process = await asyncio.create_subprocess_exec(
        *command,
        f"examples/{script}",
        *arguments,
        *options,
        cwd=GRAPHQL,
        env=ENVIRONMENT,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield Terminal(process)
    except BaseException as error:
        if process.returncode is None:
            process.kill()
        output, errors = await process.communicate()
        error.add_note(f"{example} goes on:\n{output.decode()}{errors.decode()}")
        raise


@dataclass
class Talk:
    """Ada, who uses an example, and Grace, who writes to her."""

    example: str
    ada: Person
    grace: Person
    conversation: str
    terminal: Terminal
    proxy: Proxy

    async def grace_writes(self, *contents: str) -> list[str]:
        """Return the IDs of the messages."""
        return [(await self.grace.sends(content, to=self.conversation))["id"] for content in contents]

    async def grace_edits(self, message_id: str, content: str) -> None:
        await self.grace.asks(UPDATE_MESSAGE, input={"messageId": message_id, "content": content})

    async def grace_deletes(self, message_id: str) -> None:
        await self.grace.asks(DELETE_MESSAGE, input={"messageId": message_id})

    async def shows_of_grace(self, *contents: str) -> None:
        await self.terminal.shows(*(f"{self.grace.username}: {content}" for content in contents))

    async def pages_through_the_history(self) -> None:
        """Grace writes meanwhile: later messages arrive as events, and may be on a page too."""
        await self.shows_of_grace(*HISTORY, "meanwhile")

    async def sends_optimistically(self) -> None:
        await self.terminal.types("hello")
        await self.terminal.shows(f"{self.ada.username}: hello (sending)", f"{self.ada.username}: hello")

    async def shows_user_errors(self) -> None:
        await self.terminal.types("  ")
        await self.terminal.shows(
            f"{self.ada.username}:    (sending)", "! BLANK: The message has no visible text. Enter a message."
        )

    async def hears_live(self) -> None:
        await self.grace_writes("live 1", "live 2")
        await self.shows_of_grace("live 1", "live 2")

    async def shows_edits_and_deletions(self) -> None:
        first, second = await self.grace_writes("live 3", "live 4")
        await self.shows_of_grace("live 3", "live 4")
        await self.grace_edits(first, "live 3a")
        await self.shows_of_grace("live 3a (edited)")
        await self.grace_deletes(second)
        await self.shows_of_grace("(deleted)")

    async def resumes_after_an_outage(self) -> None:
        """What has changed in the meantime is shown as it is now, and never as it was."""
        edited, deleted = await self.grace_writes("before 1", "before 2")
        await self.shows_of_grace("before 1", "before 2")
        async with self.proxy.outage():
            await self.grace_edits(edited, "before 1a")
            await self.grace_deletes(deleted)
            [_, edited, _] = await self.grace_writes("missed 1", "missed 2", "missed 3")
            await self.grace_edits(edited, "missed 2a")
        await self.shows_of_grace("before 1a (edited)", "(deleted)")
        await self.shows_of_grace("missed 1", "missed 2a (edited)", "missed 3")

    async def resumes_after_a_cut_within_an_event(self) -> None:
        self.proxy.cut_within(b"broken off")
        await self.grace_writes("broken off", "and after")
        await self.shows_of_grace("broken off", "and after")

    async def sends_once_though_the_answer_is_lost(self) -> None:
        self.proxy.cut_within(b"said once")
        await self.terminal.types("said once")
        await self.terminal.shows(
            f"{self.ada.username}: said once (sending)", f"{self.ada.username}: said once"
        )
        answer = await self.grace.asks(
            "query ($id: ID!) { conversation(id: $id) { messages(last: 2) { edges { node { content } } } } }",
            id=self.conversation,
        )
        contents = [edge["node"]["content"] for edge in answer["conversation"]["messages"]["edges"]]
        assert contents == ["and after", "said once"]
        # The stream has failed as well.
        await self.grace.asks(READ_MESSAGES, input={"conversationId": self.conversation})
        await self.grace_writes("heard")
        await self.shows_of_grace("heard")

    async def escapes_control_characters_and_line_breaks(self) -> None:
        await self.grace_writes(f"\x1b]0;title\x07\x9b2J\u202eok\r\n{self.ada.username}: I agree")
        await self.shows_of_grace(r"\u001b]0;title\u0007\u009b2J\u202eok")
        await self.terminal.shows(f"    {self.ada.username}: I agree")

    def received_each_event_once(self) -> None:
        created = ["meanwhile", "live 1", "live 2", "live 3", "live 4", "before 1", "before 2"]
        created += ["missed 1", "missed 2", "missed 3"]
        created += ["broken off", "broken off", "and after", "heard", "controls"]
        changed = {
            "MessageCreated": len(created),
            "MessageUpdated": 3,
            "MessageDeleted": 2,
            "ReadMarkMoved": 1,
        }
        passed_on = {name: self.proxy.passed_on.count(f'"__typename":"{name}"'.encode()) for name in changed}
        assert passed_on == changed

    async def shows_a_new_name(self) -> None:
        """The Python example, which does not keep the messages, shows it from the next message on."""
        name = self.grace.username = f"{self.grace.username}-2"
        await self.grace.asks(UPDATE_PROFILE, input={"username": name})
        await self.grace_writes("renamed")
        before = await self.terminal.shows_before(f"{name}: renamed")
        assert before[: len(HISTORY)] == (
            [] if self.example == "python/chat.py" else [f"{name}: {content}" for content in HISTORY]
        )

    async def shows_why_the_stream_ended(self, database: Database) -> None:
        async with tables(database) as connection:
            her_id = select(users.c.id).where(users.c.username == self.ada.username).scalar_subquery()
            ended = update(sessions).where(sessions.c.user_id == her_id)
            await connection.execute(ended.values(revoked_at=sessions.c.created_at))
        await self.terminal.shows("! UNAUTHENTICATED: Your session has ended. Sign in again.")
        await self.terminal.ends()


async def talk(example: str, server: Server, http: httpx.AsyncClient, database: Database) -> None:
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await grace.opens_conversation_with(ada)
    for content in HISTORY:
        await grace.sends(content, to=conversation)
    async with asyncio.timeout(TALK_SECONDS), proxy_before(server.port) as proxy:
        proxy.hold_back(b'"inboxCursor"', lambda: grace.sends("meanwhile", to=conversation))
        async with running(example, proxy.url, ada.username, grace.username) as terminal:
            its_talk = Talk(example, ada, grace, conversation, terminal, proxy)
            await its_talk.pages_through_the_history()
            await its_talk.sends_optimistically()
            await its_talk.shows_user_errors()
            await its_talk.hears_live()
            await its_talk.shows_edits_and_deletions()
            await its_talk.resumes_after_an_outage()
            await its_talk.resumes_after_a_cut_within_an_event()
            await its_talk.sends_once_though_the_answer_is_lost()
            await its_talk.escapes_control_characters_and_line_breaks()
            its_talk.received_each_event_once()
            await its_talk.shows_a_new_name()
            await its_talk.shows_why_the_stream_ended(database)


@pytest.fixture(scope="module")
async def talks(
    server: Server, http: httpx.AsyncClient, database: Database, generated: Path
) -> AsyncGenerator[Mapping[str, asyncio.Task[None]]]:
    """Run all examples at the same time, because they mostly wait before they reconnect."""
    tasks = {each: asyncio.create_task(talk(each, server, http, database)) for each in EXAMPLES}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("example", EXAMPLES)
async def test_an_example_misses_nothing(talks: Mapping[str, asyncio.Task[None]], example: str):
    await talks[example]


@pytest.fixture(scope="module")
async def talks_across_workers(
    cluster: Cluster, database: Database, generated: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Mapping[str, asyncio.Task[None]]]:
    """Run graphql-sse's own client in both modes against three workers, any of which may get a request."""
    folder = tmp_path_factory.mktemp("workers")
    with running_server(folder, database_url=cluster.url(), workers="3") as server:
        await eventually(lambda: server.log_path.read_text().count("listening for hints") >= 3)
        async with http_client(server.url) as http:
            tasks = {each: asyncio.create_task(talk(each, server, http, database)) for each in ACROSS_WORKERS}
            yield tasks
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("example", ACROSS_WORKERS)
async def test_an_example_misses_nothing_across_workers(
    talks_across_workers: Mapping[str, asyncio.Task[None]], example: str
):
    await talks_across_workers[example]

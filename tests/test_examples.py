"""The examples for frontends, each in its own process, over a connection that breaks."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import update

from db.engine import Database
from db.tables import sessions, users
from tests.conftest import sign_in
from tests.people import PATIENCE_SECONDS, Person
from tests.proxy import Proxy, proxy_before
from tests.serving import Server

GRAPHQL = Path(__file__).parent.parent / "graphql"
EXAMPLES = [
    "apollo.ts",
    "urql.ts",
    "urql.ts own-reader",
    "relay/Chat.js",
    "graphql-sse.ts",
    "eventsource.ts",
    "python/chat.py",
]


@dataclass
class Terminal:
    """A running example, and what one types and reads there."""

    process: Process

    async def types(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def shows(self, *lines: str) -> None:
        """Accept these lines as the next ones, each once and in this order."""
        for line in lines:
            assert await self.line() == line


@asynccontextmanager
async def running(example: str, *arguments: str) -> AsyncGenerator[Terminal]:
    binaries = Path(sys.executable).parent
    script, *options = example.split()
    command = [sys.executable] if script.endswith(".py") else ["node", "--import", "tsx"]
    process = await asyncio.create_subprocess_exec(
        *command,
        f"examples/{script}",
        *arguments,
        *options,
        cwd=GRAPHQL,
        env=os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield Terminal(process)
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await process.stderr.read()).decode() == ""
            assert await process.wait() == 0
    except BaseException as error:
        if process.returncode is None:
            process.kill()
        output, errors = await process.communicate()
        error.add_note(f"It goes on:\n{output.decode()}\n{errors.decode()}")
        raise


@pytest.mark.parametrize("example", EXAMPLES)
async def test_it_pages_sends_hears_and_misses_nothing(server: Server, http, database: Database, example: str):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await grace.opens_conversation_with(ada)
    history = [f"old {number}" for number in range(55)]
    for content in history:
        await grace.sends(content, to=conversation)

    async with proxy_before(server.port) as proxy, running(example, proxy.url, ada.username, grace.username) as terminal:
        await terminal.shows(*(f"{grace.username}: {content}" for content in history))

        await terminal.types("hello")
        await terminal.shows(f"{ada.username}: hello (sending)", f"{ada.username}: hello")
        await terminal.types("   ")
        await terminal.shows(f"{ada.username}:     (sending)", "! BLANK: Write something: the message is empty.")

        await grace.sends("live", to=conversation)
        await terminal.shows(f"{grace.username}: live")
        async with proxy.outage():
            missed = [f"missed {number}" for number in range(3)]
            for content in missed:
                await grace.sends(content, to=conversation)
        await terminal.shows(*(f"{grace.username}: {content}" for content in missed))
        proxy.cut_within(b"broken off")
        await grace.sends("broken off", to=conversation)
        await terminal.shows(f"{grace.username}: broken off")

        proxy.cut_within(b"said once")
        await terminal.types("said once")
        await terminal.shows(f"{ada.username}: said once (sending)", f"{ada.username}: said once")
        await grace.sends("heard", to=conversation)
        await terminal.shows(f"{grace.username}: heard")

        async with database.transaction() as connection:
            its = sessions.c.user_id.in_(users.select().with_only_columns(users.c.id).where(users.c.username == ada.username))
            await connection.execute(update(sessions).where(its).values(revoked_at=sessions.c.created_at))
        await terminal.shows("! UNAUTHENTICATED: Your session has ended: sign in again.", "")

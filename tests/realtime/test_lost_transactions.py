"""PostgreSQL goes back to an earlier state under open streams, as after a failover that lost transactions."""

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from db import embedded
from tests.conftest import sign_in
from tests.faults.postgres import Postgres, running_postgres
from tests.server.endpoints.test_single_connection import Reserved, comes
from tests.support.clients import http_client
from tests.support.people import MESSAGE_CREATED, PATIENCE_SECONDS, Person, Stream
from tests.support.serving import eventually_async, run_command, running_server

EVENTS = """
    subscription {
        inboxEvents { __typename cursor ... on MessageCreated { message { content conversation { id } } } }
    }
"""
MESSAGES = """
    {
        inboxCursor
        conversations(first: 1) { edges { node { messages(last: 9) { edges { node { content } } } } } }
    }
"""


@dataclass
class Deployment:
    """A server on a PostgreSQL of its own."""

    postgres: Postgres
    folder: Path
    http: httpx.AsyncClient

    @property
    def backup(self) -> Path:
        return self.folder / "backup"

    async def back_up(self) -> None:
        """Copy the data; streams stay open meanwhile."""
        await self.postgres.stop()
        copying = await asyncio.create_subprocess_exec(
            "cp", "-a", str(self.postgres.folder), str(self.backup)
        )
        assert await copying.wait() == 0
        await self.start()

    async def restart(self) -> None:
        """Stop the database and start it again."""
        await self.postgres.stop()
        await self.start()

    async def go_back(self, *, renews_epoch: bool) -> None:
        """Lose all transactions since `back_up`."""
        await self.postgres.stop()
        await asyncio.to_thread(shutil.rmtree, self.postgres.folder)
        await asyncio.to_thread(self.backup.rename, self.postgres.folder)
        await self.start(renews_epoch=renews_epoch)

    async def start(self, *, renews_epoch: bool = False) -> None:
        """Start the database, and wait until the server uses it."""
        await self.postgres.start()
        if renews_epoch:
            renewed = await asyncio.to_thread(
                run_command, self.folder, "renew-epoch", database_url=self.postgres.url
            )
            assert renewed.returncode == 0, renewed.stderr

        async def responds() -> bool:
            return (await self.http.get("/health/ready")).status_code == 200

        await eventually_async(responds)


@pytest.fixture(scope="module")
async def deployment(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncGenerator[Deployment]:
    folder = tmp_path_factory.mktemp("lost")
    binaries: Path = request.config.getoption("--postgres") or embedded.wheel_binaries()
    async with running_postgres(folder / "postgres", binaries) as postgres, AsyncExitStack() as stack:
        (folder / "server").mkdir()
        server = running_server(folder / "server", database_url=postgres.url, dev_login="on")
        started = await asyncio.to_thread(server.__enter__)
        stack.push_async_callback(asyncio.to_thread, server.__exit__, None, None, None)
        http = await stack.enter_async_context(http_client(started.url))
        yield Deployment(postgres, folder, http)


@asynccontextmanager
async def multipart(person: Person) -> AsyncGenerator[AsyncGenerator[Any]]:
    """Open a multipart subscription, and yield its payloads."""
    headers = {
        **person.headers,
        "accept": "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json",
    }
    async with person.http.stream("POST", "/graphql", json={"query": EVENTS}, headers=headers) as response:

        async def payloads() -> AsyncGenerator[Any]:
            async for line in response.aiter_lines():
                if line.startswith('{"payload"'):
                    yield json.loads(line)["payload"]

        async with aclosing(payloads()) as found:
            yield found


class Reader:
    """A user's streams of all kinds, each read until it ends."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.heard: dict[str, list[str]] = {}
        self.ends: dict[str, str] = {}

    def _take(self, stream: str, answer: Any) -> bool:
        """Note what the answer says. Return whether it ends the stream."""
        if "errors" in answer:
            self.ends[stream] = answer["errors"][0]["extensions"]["code"]
            return True
        event = next(iter(answer["data"].values()))
        heard = self.heard.setdefault(stream, [])
        if "message" in event:
            heard.append(event["message"]["content"])
        return False

    async def distinct(self, name: str, document: str) -> None:
        async with self.person.streaming(document) as stream:
            self.heard[name] = []
            while not self._take(name, json.loads((await _event(stream)).data)):
                pass
            assert (await stream.event()).event == "complete"

    async def single(self) -> None:
        reserved = await Reserved.by(self.person, (self.person.http, self.person.http))
        async with reserved.opened() as stream:
            await reserved.runs(MESSAGE_CREATED, "one")
            self.heard["single"] = []
            while not self._take("single", json.loads((await _event(stream)).data)["payload"]):
                pass
            assert await comes(stream, "complete") == ("one", None)

    async def multipart(self) -> None:
        async with multipart(self.person) as payloads:
            self.heard["multipart"] = []
            async for payload in payloads:
                if payload is not None and self._take("multipart", payload):
                    return

    async def have_heard(self, *contents: str) -> None:
        async def have() -> bool:
            return len(self.heard) == 5 and all(heard == [*contents] for heard in self.heard.values())

        await eventually_async(have)


async def _event(stream: Stream) -> Any:
    """Return the next event, however long the database is away."""
    async for event in stream.events:
        if event.event == "next":
            return event
    raise AssertionError("the stream has ended without an answer")


@asynccontextmanager
async def reading(person: Person) -> AsyncGenerator[Reader]:
    """Open streams of all kinds, of which two share their events, until all of them have ended."""
    reader = Reader(person)
    async with asyncio.timeout(4 * PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        for name in ("here", "there"):
            tasks.create_task(reader.distinct(name, MESSAGE_CREATED))
        tasks.create_task(reader.distinct("events", EVENTS))
        tasks.create_task(reader.single())
        tasks.create_task(reader.multipart())
        await reader.have_heard()
        yield reader


@pytest.mark.parametrize(("renews_epoch", "sent_since"), [(False, 0), (False, 2), (False, 4), (True, 4)])
async def test_streams_end_as_expired_when_the_database_has_lost_what_they_delivered(
    deployment: Deployment, renews_epoch: bool, sent_since: int
):
    """However much has been sent since: less than was lost, as much, or more."""
    ada, grace = await sign_in(deployment.http, "ada"), await sign_in(deployment.http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    async with reading(grace) as reader:
        await ada.sends("kept", to=conversation)
        await reader.have_heard("kept")
        await deployment.back_up()
        for content in ("lost", "lost too"):
            await ada.sends(content, to=conversation)
        await reader.have_heard("kept", "lost", "lost too")
        await deployment.go_back(renews_epoch=renews_epoch)
        sent = [f"after {number}" for number in range(sent_since)]
        for content in sent:
            await ada.sends(content, to=conversation)
    assert set(reader.ends.values()) == {"CURSOR_EXPIRED"}
    assert len(reader.ends) == 5
    # None has received anything that follows what it has missed.
    assert {tuple(heard) for heard in reader.heard.values()} == {("kept", "lost", "lost too")}
    found = await grace.asks(MESSAGES)
    messages = found["conversations"]["edges"][0]["node"]["messages"]["edges"]
    assert [edge["node"]["content"] for edge in messages] == ["kept", *sent]
    async with grace.listening(after=found["inboxCursor"]) as stream:
        await ada.sends("live", to=conversation)
        assert await stream.contents(1) == ["live"]


async def test_streams_go_on_if_the_database_comes_back_with_all_transactions(deployment: Deployment):
    ada, grace = await sign_in(deployment.http, "ada"), await sign_in(deployment.http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    async with grace.listening() as stream:
        await ada.sends("before", to=conversation)
        assert await stream.contents(1) == ["before"]
        await deployment.restart()
        await ada.sends("after", to=conversation)
        assert await stream.contents(1) == ["after"]

"""A process of the version before, on every kind of relay: it reads our lines, and we read its lines."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from nats.aio.client import Client

from db.embedded import Cluster
from db.engine import Database
from db.entries import MESSAGE_UPDATED, READ_MARK_MOVED, USER_UPDATED, InboxEntry
from db.records import Message
from db.urls import libpq_url
from realtime.broadcaster import Broadcaster
from realtime.hints import Hint
from realtime.relays.nats import open_nats_relay
from realtime.relays.nats_interests import subject_of
from realtime.relays.postgres import CHANNEL, open_postgres_relay
from realtime.relays.unix_sockets import open_unix_relay
from realtime.subscribers import Subscribers
from tests.db import version_before
from tests.realtime.test_relays import running_nats
from tests.support.serving import eventually

READER, FRIEND, CONVERSATION = UUID(int=1), UUID(int=2), UUID(int=4)
MOMENT = datetime(2026, 11, 28, 12, 30, 15, 250_000, tzinfo=UTC)
MESSAGE = Message(UUID(int=3), CONVERSATION, 17, FRIEND, 'Grüße, "Ada"\n', MOMENT)
CREATED = InboxEntry.of_message(42, MESSAGE)
OTHERS = [
    InboxEntry(43, MESSAGE_UPDATED, CONVERSATION, MESSAGE.id, FRIEND, MOMENT),
    InboxEntry(44, READ_MARK_MOVED, CONVERSATION, FRIEND, FRIEND, MOMENT),
    InboxEntry(45, USER_UPDATED, None, FRIEND, FRIEND, MOMENT),
]


@dataclass
class Before:
    """A process of the version before, as far as its relay goes."""

    sends: Callable[[str], Awaitable[object]]
    lines: list[str] = field(default_factory=list[str])


Relaying = Callable[[], AbstractAsyncContextManager[tuple[Broadcaster, Before]]]


def socket_beside(folder: Path, own: str) -> Path:
    """Return the socket of the other process in the folder."""
    [other] = [path for path in folder.glob("*.sock") if path.name != own]
    return other


@asynccontextmanager
async def over_unix_sockets(_cluster: Cluster, _folder: Path) -> AsyncGenerator[tuple[Broadcaster, Before]]:
    subscribers = Subscribers()
    with tempfile.TemporaryDirectory(prefix="hints-", dir="/tmp") as path:
        folder = Path(path)

        async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                before.lines.append(line.decode().removesuffix("\n"))
            writer.close()

        async def send(line: str) -> None:
            to_there.write(f"{line}\n".encode())

        before = Before(send)
        server = await asyncio.start_unix_server(receive, folder / "before.sock")
        async with server, open_unix_relay(folder, subscribers) as relay:
            await eventually(lambda: before.lines == ["hello"])
            before.lines.clear()
            _, to_there = await asyncio.open_unix_connection(socket_beside(folder, "before.sock"))
            await send("hello")
            try:
                yield Broadcaster(subscribers, relay), before
            finally:
                to_there.close()


@asynccontextmanager
async def over_postgresql(cluster: Cluster, _folder: Path) -> AsyncGenerator[tuple[Broadcaster, Before]]:
    subscribers, sender = Subscribers(), secrets.token_hex(4)
    url = libpq_url(cluster.url())
    connection = await asyncpg.connect(url)

    def receive(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        by, *lines = str(payload).split("\n")
        # Those of other tests are for other users.
        if by != sender:
            before.lines += [line for line in lines if READER.hex in line]

    async def send(line: str) -> None:
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{sender}\n{line}")

    before = Before(send)
    await connection.add_listener(CHANNEL, receive)
    try:
        async with open_postgres_relay(url, subscribers) as relay:
            await eventually(subscribers.suspicion.is_set)
            yield Broadcaster(subscribers, relay), before
    finally:
        await connection.close()


@asynccontextmanager
async def over_nats(_cluster: Cluster, folder: Path) -> AsyncGenerator[tuple[Broadcaster, Before]]:
    subscribers = Subscribers()
    with running_nats(folder) as port:
        server = f"nats://127.0.0.1:{port}"
        await eventually(lambda: "Server is ready" in (folder / "nats.log").read_text())
        client = Client()
        await client.connect([server])

        async def receive(received: Any) -> None:
            before.lines.append(received.data.decode())

        async def send(line: str) -> None:
            await client.publish(subject_of(READER), line.encode())

        before = Before(send)
        await client.subscribe(  # pyright: ignore[reportUnknownMemberType]  # a bare Future in its types
            subject_of(READER), cb=receive
        )
        await client.flush()
        try:
            async with open_nats_relay([server], {}, subscribers, lambda _error: None) as relay:
                await eventually(subscribers.suspicion.is_set)
                yield Broadcaster(subscribers, relay), before
        finally:
            await client.close()


@pytest.fixture(params=[over_unix_sockets, over_postgresql, over_nats])
def relaying(
    request: pytest.FixtureRequest, cluster: Cluster, database: Database, tmp_path: Path
) -> Relaying:
    """Connects a broadcaster of this version with a process of the version before."""
    return lambda: request.param(cluster, tmp_path)


async def test_the_version_before_reads_a_new_message_and_wakes_the_user_for_anything_else(
    relaying: Relaying,
):
    async with relaying() as (broadcaster, before):
        broadcaster.publish([Hint(READER, entry) for entry in (CREATED, *OTHERS)])
        await eventually(lambda: len(before.lines) == 4)
        created, *others = before.lines
        assert version_before.decode(created) == (READER, 42, MESSAGE[:6])
        for line in others:
            with pytest.raises(ValueError):
                version_before.decode(line)
            # It wakes the streams of the user whose ID is here.
            assert UUID(line[2:34]) == READER


async def test_messages_of_the_version_before_arrive_with_their_text(relaying: Relaying):
    async with relaying() as (broadcaster, before), broadcaster.subscribe(READER) as subscriber:
        # A relay may lose what is sent before it has subscribed.
        async with asyncio.timeout(20):
            received = await first_hint(subscriber.next, before)
        assert received == Hint(READER, CREATED)


async def first_hint(take: Callable[[], Awaitable[Hint | None]], before: Before) -> Hint | None:
    """Repeat the line, as relays may, until it arrives."""
    taking = asyncio.ensure_future(take())
    line = version_before.encode(READER, 42, MESSAGE[:6])
    while not taking.done():
        await before.sends(line)
        await asyncio.wait([taking], timeout=0.2)
    return await taking

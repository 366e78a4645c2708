"""Processes of one machine that start, stop, and exchange hints over Unix sockets."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from db import conversations
from db.entries import InboxEntry, Place
from db.inboxes import Outgoing
from db.records import Message
from realtime import wire
from realtime.hints import Hint
from realtime.inbox_check import check_inboxes
from realtime.relays.unix_sockets import UnixRelay, open_unix_relay
from realtime.subscribers import Subscribers
from realtime.tasks import running
from tests.conftest import Noted, PersonMaker
from tests.support.serving import eventually

ADA = UUID(int=1)


@pytest.fixture
def folder() -> Generator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="hints-", dir="/tmp") as path:
        yield Path(path)


class Stream(Subscribers):
    """A process's subscribers: a stream of Ada's, whose inbox is checked whenever another process appears."""

    def __init__(self) -> None:
        super().__init__()
        self.times_suspected = 0
        self.subscriber = self.attach(ADA)

    def suspect(self) -> None:
        self.times_suspected += 1
        super().suspect()

    async def next_hint(self) -> Hint | None:
        async with asyncio.timeout(20):
            return await self.subscriber.next()


@asynccontextmanager
async def process(folder: Path) -> AsyncGenerator[tuple[UnixRelay, Stream]]:
    stream = Stream()
    async with open_unix_relay(folder, stream) as relay:
        yield relay, stream


def hint(user_id: UUID = ADA, content: str = "hello") -> Hint:
    message = Message(uuid4(), uuid4(), 1, uuid4(), content, datetime(2026, 1, 1, tzinfo=UTC))
    return Hint(user_id, InboxEntry.of_message(1, message))


def sockets(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def hints_lost() -> float:
    return REGISTRY.get_sample_value("messenger_hints_lost_total") or 0


async def test_each_process_receives_the_hints_of_all_others(folder: Path):
    async with process(folder) as one, process(folder) as two:
        async with process(folder) as three:
            together = (one, two, three)
            # Hints from before they knew each other are missing, but their messages are in the log.
            await eventually(lambda: all(stream.times_suspected == 2 for _, stream in together))
            # No stream reads the log because of this.
            assert not any(stream.subscriber.is_woken for _, stream in together)
            for relay, own in together:
                said = hint()
                relay.send([hint(uuid4()), said])
                others = [stream for _, stream in together if stream is not own]
                assert [await stream.next_hint() for stream in others] == [said, said]
                relay.wake(ADA)
                assert [await stream.next_hint() for stream in others] == [None, None]
                assert not own.subscriber.is_woken
        await eventually(lambda: len(one[0].peers) == len(two[0].incoming) == 1)


async def test_processes_remove_their_sockets_when_they_end(folder: Path):
    async with process(folder), process(folder):
        assert len(sockets(folder)) == 2
    assert sockets(folder) == []


async def test_the_socket_of_a_killed_process_is_removed(folder: Path):
    dead = folder / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(dead))
    async with process(folder):
        await eventually(lambda: not dead.exists())


async def test_a_process_that_does_not_read_is_disconnected_and_reconnected(folder: Path):
    came: list[asyncio.StreamWriter] = []

    def read_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)

    lost = hints_lost()
    server = await asyncio.start_unix_server(read_nothing, folder / "deaf.sock", limit=1024)
    async with server, process(folder) as (relay, _):
        await eventually(lambda: len(came) == 1)
        async with asyncio.timeout(20):
            while relay.peers:
                relay.send([hint(content="x" * 60_000) for _ in range(20)])
                await asyncio.sleep(0)
        await eventually(lambda: len(came) == 2)
        assert hints_lost() > lost
    for writer in came:
        writer.close()


async def test_malformed_hints_are_ignored(folder: Path):
    async with process(folder) as (_, stream):
        [path] = sockets(folder)
        _, writer = await asyncio.open_unix_connection(path)
        said = hint()
        writer.write(b"nonsense\n\xff\n[]\n\n" + wire.encode(said).encode() + b"\n")
        assert await stream.next_hint() == said
        writer.close()


@pytest.mark.parametrize(
    "line",
    [
        # A line of a later version.
        f'["{ADA.hex}","reaction_added.1",{{"any":"thing"}}]',
        wire.encode(hint(ADA)).replace("]", ',"more"]'),
        f"{ADA.hex} typing",
        # A time outside the range of dates.
        wire.encode(hint(ADA)).replace("1767225600000", str(10**18)),
        wire.encode(hint(ADA)).replace("1767225600000", '"yesterday"'),
        f'["{ADA.hex}"',
    ],
)
async def test_an_unreadable_line_wakes_the_user_it_starts_with(folder: Path, line: str):
    async with process(folder) as (_, stream):
        [path] = sockets(folder)
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(line.encode() + b"\n")
        assert await stream.next_hint() is None
        said = hint()
        writer.write(wire.encode(said).encode() + b"\n")
        assert await stream.next_hint() == said
        writer.close()


async def test_a_process_that_sends_an_endless_line_is_disconnected(folder: Path):
    async with process(folder):
        [path] = sockets(folder)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x" * 100_000)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


async def test_idle_streams_are_checked_in_one_statement_when_a_process_appears(
    folder: Path, noted: Noted, person: PersonMaker
):
    database, statements = noted
    ada, grace = await person("ada"), await person("grace")
    async with database.transaction() as connection:
        conversation, _ = await conversations.open_pair(connection, ada.id, grace.id)
    subscribers = Subscribers()
    readers = [subscribers.attach(user.id) for user in (ada, grace) for _ in range(20)]
    for reader in readers:
        reader.place = Place(0)
    statements.clear()
    async with (
        open_unix_relay(folder, subscribers),
        running(check_inboxes(subscribers, database, 600), "check"),
    ):
        async with process(folder):
            await eventually(lambda: len(statements) == 1)
        assert not any(reader.is_woken for reader in readers)
        # This process stores a message before it says hello.
        await database.deliveries.deliver(Outgoing(conversation, ada.id, "hello"))
        async with process(folder):
            await eventually(lambda: all(reader.is_woken for reader in readers))
        assert len([each for each in statements if "last_position" in each and "UPDATE" not in each]) == 2

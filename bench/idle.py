"""Streams that wait: what each costs in memory, and how they come back when all are cut at once."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import psutil
from uuid_utils.compat import uuid7

from bench import statements
from bench.http import Address, Stream, Streams
from bench.load import SERVER
from bench.measuring import CpuWatch, Measured
from bench.population import CONTENT, MARK, Pair
from bench.waiting import Trouble, calm

RECONNECTED = "s until all are back"
CAUGHT_UP = "s until all have caught up"

_FIRST_STREAMS = 50
_WRITERS = 10
_EVENT_ID = re.compile(rb"(?:^|\n)id: ([^\n]+)\n")


def memory_each(streams: int) -> str:
    """Return the unit of the memory that each of so many streams takes."""
    return f"KB each of {streams:,}"


@dataclass(frozen=True, slots=True)
class IdleStreams:
    """Opens one stream for each user, in steps; then cuts all, has each sent a message, and opens all again.

    The messages are stored while nobody is connected, as if by another process. A server that `resumes` is
    done when each stream has had its message; the others are when all are back.
    """

    address: Address
    pids: Mapping[str, int]
    openings: Sequence[bytes]
    steps: Sequence[int]
    database_url: str
    pairs: Sequence[Pair]
    resumes: bool

    async def run(self) -> Measured:
        """Do it once.

        Raises:
            TimeoutError: streams do not open or messages do not come.
        """
        trouble, cursors = Trouble(), _Cursors()
        server = psutil.Process(self.pids[SERVER])
        streams = Streams(self.address, cursors.note, trouble)
        # So that what is made once for all of them is there.
        await streams.add(self.openings[:_FIRST_STREAMS])
        await calm([server.pid])
        before = _resident(server)
        figures: dict[str, float] = {}
        watch = CpuWatch(self.pids)
        for step in self.steps:
            await streams.add(self.openings[len(streams.open) : step])
            await calm([server.pid])
            figures[memory_each(step)] = (_resident(server) - before) / 1024 / (step - _FIRST_STREAMS)
        streams.cut()
        if self.resumes:
            await self._write_to_all()
        await calm([server.pid])
        figures |= await self._come_back(cursors)
        return Measured(figures, watch.shares())

    async def _come_back(self, cursors: "_Cursors") -> dict[str, float]:
        trouble = Trouble()
        awaiting: set[Stream] = set()
        heard: set[Stream] = set()

        def hear(stream: Stream, data: bytes) -> None:
            if MARK in data:
                heard.add(stream)

        openings = [cursors.resumed(opening) for opening in self.openings] if self.resumes else self.openings
        begun = time.perf_counter()
        streams = Streams(self.address, hear, trouble)
        try:
            await streams.add(openings)
            figures = {RECONNECTED: time.perf_counter() - begun}
            if self.resumes:
                awaiting.update(streams.open)
                await trouble.until(lambda: awaiting <= heard)
                figures[CAUGHT_UP] = time.perf_counter() - begun
        finally:
            streams.cut()
        return figures

    async def _write_to_all(self) -> None:
        """Have everybody sent a message."""
        places = [place for pair in self.pairs for place in (pair, pair.turned())]

        async def write(some: Sequence[Pair]) -> None:
            connection = await asyncpg.connect(self.database_url)
            try:
                for place in some:
                    await connection.fetch(
                        statements.DELIVER, place.conversation_id, place.one.user_id, uuid7(), CONTENT
                    )
            finally:
                await connection.close()

        async with asyncio.TaskGroup() as group:
            for number in range(_WRITERS):
                group.create_task(write(places[number::_WRITERS]))


class _Cursors:
    """The id of the last event of each stream, by the request that opened it."""

    def __init__(self) -> None:
        self._last: dict[bytes, bytes] = {}

    def note(self, stream: Stream, data: bytes) -> None:
        """Look for ids in what has come."""
        for event_id in _EVENT_ID.findall(data):
            self._last[stream.opening] = event_id

    def resumed(self, opening: bytes) -> bytes:
        """Return the request that goes on where the stream was."""
        head, _, body = opening.partition(b"\r\n\r\n")
        return head + b"\r\nlast-event-id: " + self._last[opening] + b"\r\n\r\n" + body


def _resident(server: psutil.Process) -> int:
    """Return the memory that the server and its workers hold, in bytes."""
    return sum(process.memory_info().rss for process in (server, *server.children()))

"""Idle streams: the memory of each, and how they reconnect after all are cut at once."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from bench.http import Address, Caller, Stream, Streams, calling
from bench.load import SERVER
from bench.measuring import CpuWatch, Measured
from bench.population import MARK
from bench.waiting import Trouble, calm

RECONNECTED = "s until all are back"
CAUGHT_UP = "s until all have caught up"

_FIRST_STREAMS = 50
_WRITERS = 16
_WRITING_SECONDS = 120
_EVENT_ID = re.compile(rb"(?:^|\n)id: ([^\n]+)\n")


def memory_each(streams: int) -> str:
    """Return the unit for the memory of one of this many streams."""
    return f"KB each of {streams:,}"


@dataclass(frozen=True, slots=True)
class IdleStreams:
    """Opens one stream per user, in steps; cuts all, sends every user a message, and reopens all.

    The messages are sent with `writes`, one request for each user, while no stream is open. The job ends
    when every stream has received its message. A server that cannot resume gets no messages (None), and the
    job ends when all streams are open again.
    """

    address: Address
    pids: Mapping[str, int]
    openings: Sequence[bytes]
    steps: Sequence[int]
    writes: Sequence[bytes] | None

    async def run(self) -> Measured:
        """Run once.

        Raises:
            TimeoutError: Streams did not open or messages did not arrive.
        """
        trouble, cursors = Trouble(), _Cursors()
        server = psutil.Process(self.pids[SERVER])
        streams = Streams(self.address, cursors.note, trouble)
        # Warms up what all streams share.
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
        await calm([server.pid])
        if self.writes is not None:
            await self._write_to_all(self.writes)
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

        resumes = self.writes is not None
        openings = [cursors.resumed(opening) for opening in self.openings] if resumes else self.openings
        begun = time.perf_counter()
        streams = Streams(self.address, hear, trouble)
        try:
            await streams.add(openings)
            figures = {RECONNECTED: time.perf_counter() - begun}
            if resumes:
                awaiting.update(streams.open)
                await trouble.until(lambda: awaiting <= heard)
                figures[CAUGHT_UP] = time.perf_counter() - begun
        finally:
            streams.cut()
        return figures

    async def _write_to_all(self, requests: Sequence[bytes]) -> None:
        trouble = Trouble()
        callers = [requests[number::_WRITERS] for number in range(min(_WRITERS, len(requests)))]
        unanswered = len(requests)
        unsent: dict[Caller, int] = {}

        def call(caller: Caller) -> None:
            if unsent[caller]:
                unsent[caller] -= 1
                caller.call()

        def answered(caller: Caller) -> None:
            nonlocal unanswered
            unanswered -= 1
            call(caller)

        async with calling(self.address, callers, answered, trouble) as connected:
            unsent.update((caller, len(own)) for caller, own in zip(connected, callers, strict=True))
            for caller in connected:
                call(caller)
            await trouble.until(lambda: unanswered == 0, _WRITING_SECONDS)


class _Cursors:
    """The last event ID of each stream, by the request that opened it."""

    def __init__(self) -> None:
        self._last: dict[bytes, bytes] = {}

    def note(self, stream: Stream, data: bytes) -> None:
        """Find event IDs in received data."""
        for event_id in _EVENT_ID.findall(data):
            self._last[stream.opening] = event_id

    def resumed(self, opening: bytes) -> bytes:
        """Return the request that resumes the stream."""
        head, _, body = opening.partition(b"\r\n\r\n")
        return head + b"\r\nlast-event-id: " + self._last[opening] + b"\r\n\r\n" + body


def _resident(server: psutil.Process) -> int:
    """Return the resident memory of the server and its workers, in bytes."""
    return sum(process.memory_info().rss for process in (server, *server.children()))

"""The load: what callers and listeners do to a server, over HTTP."""

import asyncio
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from statistics import quantiles

from bench.http import NEXT, Address, Caller, calling, listening
from bench.measuring import CpuWatch, Measured, Span, Tally, rate_of

_PATIENCE_SECONDS = 10

P50 = "p50 ms"
P99 = "p99 ms"

# Stands for the time in the requests of `Latency`, which puts it in when it sends one.
SENT_AT = "0" * 20
_SENT_AT = re.compile(rb'"content":"(\d{20})"')


@dataclass(frozen=True, slots=True)
class Load:
    """What all loads have in common: one sequence of requests a caller, who sends them in turn.

    `marker` stands in every good answer.
    """

    address: Address
    callers: Sequence[Sequence[bytes]]
    marker: bytes
    span: Span
    pids: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Calls(Load):
    """Callers who send the next request when the last is answered; counts the answers."""

    async def run(self) -> Measured:
        """Do it once."""
        tasks = [partial(self._call, requests) for requests in self.callers]
        return await rate_of(tasks, Tally(), self.span, self.pids)

    async def _call(self, requests: Sequence[bytes], tally: Tally) -> None:
        async with calling(self.address) as caller:
            for request in cycle(requests):
                if tally.over:
                    return
                await caller.call(request, self.marker)
                tally.count += 1


@dataclass(frozen=True, slots=True)
class Deliveries(Load):
    """Messages sent at saturation while streams are open; counts the events that arrive.

    Each message arrives on `fan_out` of the streams. As many messages are under way as there are callers:
    only when the events of one have arrived is another sent. So the rate is one that lasts, and no stream
    falls behind for good.
    """

    openings: Sequence[bytes]
    fan_out: int

    async def run(self) -> Measured:
        """Do it once.

        Raises:
            TimeoutError: events are missing.
        """
        arrived = Tally()
        under_way = asyncio.Semaphore(len(self.callers))

        def arrive(events: bytes) -> None:
            before = arrived.count
            arrived.count += events.count(NEXT)
            for _ in range(before // self.fan_out, arrived.count // self.fan_out):
                under_way.release()

        tasks = [partial(self._send, requests, under_way) for requests in self.callers]
        async with listening(self.address, self.openings, arrive):
            measured = await rate_of(tasks, arrived, self.span, self.pids)
            async with asyncio.timeout(_PATIENCE_SECONDS):
                # All of them can be had once nothing is under way.
                for _ in self.callers:
                    await under_way.acquire()
        return measured

    async def _send(self, requests: Sequence[bytes], under_way: asyncio.Semaphore, arrived: Tally) -> None:
        async with calling(self.address) as caller:
            for request in cycle(requests):
                await under_way.acquire()
                if arrived.over:
                    under_way.release()
                    return
                await caller.call(request, self.marker)


@dataclass(frozen=True, slots=True)
class Latency(Load):
    """Messages sent at a fixed rate; measures the time from there until each arrives on a stream.

    The time runs from when a message is due, also where it has to wait for a caller who is free.
    """

    openings: Sequence[bytes]
    per_second: float

    async def run(self) -> Measured:
        """Do it once.

        Raises:
            TimeoutError: a message has not arrived.
        """
        sender = _Sender(self.marker)
        async with listening(self.address, self.openings, sender.arrive), AsyncExitStack() as stack:
            for requests in self.callers:
                sender.add(await stack.enter_async_context(calling(self.address)), requests)
            await sender.send(self.per_second, self.span.warm_up_seconds)
            watch = CpuWatch(self.pids)
            milliseconds = await sender.send(self.per_second, self.span.seconds)
            cpu = watch.shares()
        percentiles = quantiles(milliseconds, n=100, method="inclusive")
        return Measured({P50: percentiles[49], P99: percentiles[98]}, cpu)


class _Sender:
    """Has whichever caller is free send the next message, and sees when it arrives."""

    def __init__(self, marker: bytes) -> None:
        self._marker = marker
        self._free: asyncio.Queue[tuple[Caller, Iterator[bytes]]] = asyncio.Queue()
        self._arrivals: dict[int, asyncio.Future[int]] = {}

    def add(self, caller: Caller, requests: Sequence[bytes]) -> None:
        """Have this caller too, who sends these requests in turn."""
        self._free.put_nowait((caller, cycle(requests)))

    def arrive(self, events: bytes) -> None:
        """Note that messages have arrived: each says when it was sent."""
        for sent_at in _SENT_AT.findall(events):
            self._arrivals[int(sent_at)].set_result(time.perf_counter_ns())

    async def send(self, per_second: float, seconds: float) -> list[float]:
        """Send for a while; return how long each message was on its way, in milliseconds."""
        begun = time.perf_counter()
        sent: list[asyncio.Task[float]] = []
        async with asyncio.TaskGroup() as group:
            for number in range(round(seconds * per_second)):
                await asyncio.sleep(begun + number / per_second - time.perf_counter())
                sent.append(group.create_task(self._send_one()))
        return [task.result() for task in sent]

    async def _send_one(self) -> float:
        due = time.perf_counter_ns()
        arrival = self._arrivals[due] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(_PATIENCE_SECONDS):
            caller, requests = await self._free.get()
            await caller.call(next(requests).replace(SENT_AT.encode(), b"%020d" % due), self._marker)
            self._free.put_nowait((caller, requests))
            return (await arrival - due) / 1e6

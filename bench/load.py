"""The load: what callers and listeners do to a server over HTTP."""

import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import quantiles

from bench.http import Address, Caller, Stream, Streams, calling
from bench.measuring import CpuWatch, Measured, Span, Tally, rate_of
from bench.population import MARK
from bench.waiting import Trouble, calm

SERVER = "subject"

# A placeholder for the time in the requests of `Latency`, which replaces it when it sends them.
SENT_AT = "0" * 20
_SENT_AT = re.compile(rb'"(\d{20})~')
# A server with a higher latency is not tested at a higher rate.
_TOO_LONG_MS = 1_000


def percentile(number: int, per_second: float) -> str:
    """Return the unit for a percentile of the delivery time at that rate."""
    return f"p{number} ms at {per_second:g}/s"


@dataclass(frozen=True, slots=True)
class Load:
    """The common part of all loads: one sequence of requests per caller, sent in turn."""

    address: Address
    pids: Mapping[str, int]
    callers: Sequence[Sequence[bytes]]
    span: Span


@dataclass(frozen=True, slots=True)
class Calls(Load):
    """Callers that send the next request once the last one is answered; counts the answers."""

    async def run(self) -> Measured:
        tally, trouble = Tally(), Trouble()
        free: list[Caller] = []

        def answered(caller: Caller) -> None:
            tally.count += 1
            if tally.over:
                free.append(caller)
            else:
                caller.call()

        async with calling(self.address, self.callers, answered, trouble) as callers:
            for caller in callers:
                caller.call()
            measured = await rate_of(tally, self.span, self.pids, trouble.sleep)
            # Let the server finish before the next one is measured.
            await trouble.until(lambda: len(free) == len(callers))
        return measured


@dataclass(frozen=True, slots=True)
class Listening(Load):
    """A load with open streams: each message arrives on `fan_out` of them."""

    openings: Sequence[bytes]
    fan_out: int


@dataclass(frozen=True, slots=True)
class Deliveries(Listening):
    """Messages sent at saturation; counts the events that arrive.

    There are as many messages in transit as callers: the next is sent only once all events of one have
    arrived. So the rate is sustainable, and no stream falls further and further behind.
    """

    async def run(self) -> Measured:
        """Run once.

        Raises:
            TimeoutError: Events are missing.
        """
        arrived, trouble = Tally(), Trouble()
        sent = 0
        free: list[Caller] = []

        def send_more() -> None:
            nonlocal sent
            while free and not arrived.over and sent - arrived.count // self.fan_out < len(self.callers):
                sent += 1
                free.pop().call()

        def answered(caller: Caller) -> None:
            free.append(caller)
            send_more()

        def arrive(_stream: Stream, data: bytes) -> None:
            arrived.count += data.count(MARK)
            send_more()

        async with (
            _listening(self, arrive, trouble),
            calling(self.address, self.callers, answered, trouble) as callers,
        ):
            free.extend(callers)
            send_more()
            measured = await rate_of(arrived, self.span, self.pids, trouble.sleep)
            await trouble.until(lambda: len(free) == len(callers) and arrived.count == sent * self.fan_out)
        return measured


@dataclass(frozen=True, slots=True)
class Latency(Listening):
    """Messages sent at fixed rates; measures the time until each has arrived on every stream.

    The time starts when a message is due, even if it has to wait for a free caller.
    """

    rates: Sequence[float]

    async def run(self) -> Measured:
        """Run once.

        Raises:
            TimeoutError: A message has not arrived.
        """
        trouble = Trouble()
        sender = _Sender(self.fan_out, trouble)
        figures: dict[str, float] = {}
        async with (
            _listening(self, sender.arrive, trouble),
            calling(self.address, self.callers, sender.answered, trouble) as callers,
        ):
            sender.free.extend(callers)
            await sender.send(self.rates[0], self.span.warm_up_seconds)
            watch = CpuWatch(self.pids)
            for rate in self.rates:
                at_rate = await sender.send(rate, self.span.seconds)
                figures |= _percentiles(at_rate, f"at {rate:g}/s")
                if figures[percentile(99, rate)] > _TOO_LONG_MS:
                    break
            saturated = await sender.saturate(len(callers), self.span.seconds)
            figures |= _percentiles(saturated, "saturated")
            cpu = watch.shares()
        return Measured(figures, cpu)


@asynccontextmanager
async def _listening(
    load: Listening, on_data: Callable[[Stream, bytes], None], trouble: Trouble
) -> AsyncGenerator[None]:
    """Keep the load's streams open; before and after, wait for the server to become idle."""
    streams = Streams(load.address, on_data, trouble)
    try:
        await streams.add(load.openings)
        await calm([load.pids[SERVER]])
        yield
    finally:
        streams.cut()
    await calm([load.pids[SERVER]])


def _percentiles(milliseconds: Sequence[float], when: str) -> dict[str, float]:
    all_of_them = quantiles(milliseconds, n=100, method="inclusive")
    return {f"p50 ms {when}": all_of_them[49], f"p99 ms {when}": all_of_them[98]}


class _Sender:
    """Sends each message through a free caller, and notes when it arrives."""

    def __init__(self, fan_out: int, trouble: Trouble) -> None:
        self.free: deque[Caller] = deque()
        self._fan_out = fan_out
        self._trouble = trouble
        self._due: deque[int] = deque()
        self._sent = 0
        # The number of messages in transit.
        self._kept_up = 0
        self._milliseconds: list[float] = []
        # The start of an event that has arrived only in part, by stream.
        self._rests: dict[Stream, bytes] = {}

    def answered(self, caller: Caller) -> None:
        """Mark a caller as free again."""
        self.free.append(caller)
        self._send_due()
        self._keep_up()

    def arrive(self, stream: Stream, data: bytes) -> None:
        """Record the messages that have arrived; each contains the time when it was due."""
        now = time.perf_counter_ns()
        received = self._rests.pop(stream, b"") + data
        for due in _SENT_AT.findall(received):
            self._milliseconds.append((now - int(due)) / 1e6)
        rest = received[received.rfind(MARK) + 1 :]
        if rest:
            self._rests[stream] = rest
        self._keep_up()

    async def send(self, per_second: float, seconds: float) -> list[float]:
        """Send for a while; return the delivery time of each message on each stream, in milliseconds."""
        self._milliseconds = []
        self._sent = 0
        begun = time.perf_counter()
        for number in range(max(2, round(seconds * per_second))):
            await self._trouble.sleep(max(0.0, begun + number / per_second - time.perf_counter()))
            self._due.append(time.perf_counter_ns())
            self._send_due()
        await self._all_have_arrived()
        return self._milliseconds

    async def saturate(self, under_way: int, seconds: float) -> list[float]:
        """Send the next message once one has arrived everywhere; return the same as `send`."""
        self._milliseconds = []
        self._sent = 0
        self._kept_up = under_way
        self._keep_up()
        await self._trouble.sleep(seconds)
        self._kept_up = 0
        await self._all_have_arrived()
        return self._milliseconds

    async def _all_have_arrived(self) -> None:
        await self._trouble.until(
            lambda: not self._due and len(self._milliseconds) >= self._sent * self._fan_out
        )

    def _keep_up(self) -> None:
        while self.free and self._sent - len(self._milliseconds) // self._fan_out < self._kept_up:
            self._due.append(time.perf_counter_ns())
            self._send_due()

    def _send_due(self) -> None:
        while self.free and self._due:
            self._sent += 1
            self.free.popleft().call(_filled_in(self._due.popleft()))


def _filled_in(due: int) -> Callable[[bytes], bytes]:
    return lambda request: request.replace(SENT_AT.encode(), b"%020d" % due)

"""What a round measures: figures, and the CPU use of the processes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import psutil

PER_SECOND = "a second"


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one subject.

    `figures` are keyed by their unit. `cpu` is the CPU time of each process in cores: 1.0 is one core all the
    time. Its entry `others` is the share of all other programs on the machine; if it is large, discard the
    round.
    """

    figures: Mapping[str, float]
    cpu: Mapping[str, float]


class Job(Protocol):
    """A measurement that a worker can perform."""

    async def run(self) -> Measured: ...


@dataclass(frozen=True, slots=True)
class Span:
    """How long a job measures, and how long it runs before that, so that the load is steady."""

    warm_up_seconds: float
    seconds: float

    def twice(self) -> "Span":
        """Return a span that measures for twice as long."""
        return Span(self.warm_up_seconds, self.seconds * 2)


class CpuWatch:
    """The CPU use of processes from now on, each with its children."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Watch processes, keyed by the names under which they are reported."""
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._before = self._seconds()

    def shares(self) -> dict[str, float]:
        """Return the cores used by each process since then, and by `others`: the rest of the machine."""
        passed = {name: after - self._before[name] for name, after in self._seconds().items()}
        elapsed = passed.pop("clock")
        machine = passed.pop("machine")
        passed["others"] = max(0.0, machine - sum(passed.values()))
        return {name: seconds / elapsed for name, seconds in passed.items()}

    def _seconds(self) -> dict[str, float]:
        idle = psutil.cpu_times().idle + getattr(psutil.cpu_times(), "iowait", 0.0)
        now = time.perf_counter()
        used = {name: _cpu_seconds(process) for name, process in self._processes.items()}
        return {"clock": now, "machine": now * (psutil.cpu_count() or 1) - idle, **used}


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of the process and its children, ended ones included."""
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children():
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


@dataclass(slots=True)
class Tally:
    """A count; independent tasks stop once it is `over`."""

    count: int = 0
    over: bool = False


async def rate_of(
    tally: Tally,
    span: Span,
    pids: Mapping[str, int],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Measured:
    """Return how fast the tally grows over the span, or over longer if it has not grown; then end it."""
    await sleep(span.warm_up_seconds)
    watch = CpuWatch(pids)
    started, before = time.perf_counter(), tally.count
    while tally.count == before:  # not polling: one span is enough unless the machine stalls
        await sleep(span.seconds)
    rate = (tally.count - before) / (time.perf_counter() - started)
    cpu = watch.shares()
    tally.over = True
    return Measured({PER_SECOND: rate}, cpu)

"""What a round measures: figures, and how busy the processes were meanwhile."""

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

    `figures` go by their unit. `cpu` is the time that each process took, in cores: 1.0 is one core all the
    time. `others` in it is what other programs took of the whole machine: much of it makes a round worthless.
    """

    figures: Mapping[str, float]
    cpu: Mapping[str, float]


class Job(Protocol):
    """Something that a worker measures."""

    async def run(self) -> Measured:
        """Do it once."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """How long a job measures, and how long it runs before, so that everything is under way."""

    warm_up_seconds: float
    seconds: float

    def twice(self) -> "Span":
        """Return a span that measures twice as long."""
        return Span(self.warm_up_seconds, self.seconds * 2)


class CpuWatch:
    """How busy processes are from here on, each with its children."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Watch processes, by the names under which they are reported."""
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._before = self._seconds()

    def shares(self) -> dict[str, float]:
        """Return the cores that each process has used since, and `others` all the rest of the machine."""
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
    """Return the time that the process and its children have had, those that have ended included."""
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
    """What is counted; those who go on by themselves stop when it is `over`."""

    count: int = 0
    over: bool = False


async def rate_of(
    tally: Tally,
    span: Span,
    pids: Mapping[str, int],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Measured:
    """Return how fast the tally grows, over the span or more until it does; then it is over."""
    await sleep(span.warm_up_seconds)
    watch = CpuWatch(pids)
    started, before = time.perf_counter(), tally.count
    while tally.count == before:  # no polling: one span is enough, but for a stalled machine
        await sleep(span.seconds)
    rate = (tally.count - before) / (time.perf_counter() - started)
    cpu = watch.shares()
    tally.over = True
    return Measured({PER_SECOND: rate}, cpu)

"""Waiting for results while callbacks may fail."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

import psutil

T = TypeVar("T")

_PATIENCE_SECONDS = 30
_CALM_SHARE = 0.05
_CALM_SECONDS = 0.2


class Trouble:
    """The first error of a callback; everything that waits raises it."""

    def __init__(self) -> None:
        """Start without an error."""
        self._error: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_over = False
        """Whether connections may end now."""

    def report(self, error: Exception) -> None:
        """Record the error, if it is the first."""
        if not self.is_over and not self._error.done():
            self._error.set_exception(error)

    async def sleep(self, seconds: float) -> None:
        """Sleep for this time."""
        await asyncio.wait({self._error}, timeout=seconds)
        if self._error.done():
            self._error.result()

    async def wait_for(self, future: asyncio.Future[T]) -> T:
        """Wait for a future, and return its result.

        Raises:
            TimeoutError: The future did not complete in time.
        """
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await asyncio.wait({self._error, future}, return_when=asyncio.FIRST_COMPLETED)
        if self._error.done():
            self._error.result()
        return future.result()

    async def until(self, condition: Callable[[], bool], patience_seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until the condition holds.

        Raises:
            TimeoutError: The condition did not hold in time.
        """
        async with asyncio.timeout(patience_seconds):
            while not condition():
                await self.sleep(0.005)


async def calm(pids: Iterable[int]) -> None:
    """Wait until the processes are idle, for ten seconds at most."""
    processes = [psutil.Process(pid) for pid in pids]
    for _ in range(50):
        before = _cpu_seconds(processes)
        await asyncio.sleep(_CALM_SECONDS)
        if _cpu_seconds(processes) - before <= _CALM_SHARE * _CALM_SECONDS:
            return


def _cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for process in processes for one in (process, *process.children()))

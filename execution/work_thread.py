"""A thread for computations that would block the event loop for long."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from time import thread_time
from typing import TypeVar
from weakref import WeakKeyDictionary

from execution.budgets import WORK_PER_SECOND, Budget

_LONG_SECONDS = 0.02

_Result = TypeVar("_Result")


class WorkThread:
    """Runs one computation at a time, so that the event loop has at least half of the process's time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._turns_of = WeakKeyDictionary[Budget, asyncio.Lock]()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="work")

    @asynccontextmanager
    async def turn_of(self, budget: Budget) -> AsyncGenerator[None]:
        """Run the block when it is its turn: the owners of budgets take turns, however many of each wait.

        Raises:
            RateLimited: the budget is exhausted.
        """
        budget.check()
        async with self._turns_of.setdefault(budget, asyncio.Lock()), self._turn:
            yield

    async def run(self, compute: Callable[[], _Result], budget: Budget) -> _Result:
        """Return the result of `compute`, and charge the budget with the processor time that it took.

        The caller has the turn. Cancelling it does not stop the computation: the call ends with it.

        Raises:
            RateLimited: the budget is exhausted.
        """
        budget.check()
        computing = asyncio.get_running_loop().run_in_executor(self._executor, partial(_timed, compute))
        try:
            await asyncio.wait([computing])
        finally:
            await asyncio.wait([computing])
            result, seconds = computing.result()
            budget.charge(seconds * WORK_PER_SECOND)
        return result


def _timed(compute: Callable[[], _Result]) -> tuple[_Result, float]:
    started = thread_time()
    result = compute()
    if thread_time() - started > _LONG_SECONDS:
        # Validation leaves up to a million objects in cycles. The collector would stop everything later.
        gc.collect(1)
    return result, thread_time() - started

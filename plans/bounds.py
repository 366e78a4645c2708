"""Bounds of an execution: bytes, errors, and time for which it may block the event loop."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

ChargeBytes: TypeAlias = Callable[[int], None]
"""Charges the caller for a number of bytes of the response; raises to abort the execution."""


class ResponseTooLarge(Exception):
    """The response exceeds `max_bytes`. Its execution has been aborted."""


async def _yield_once() -> None:
    await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of an execution.

    After every `fields_at_a_time` fields, a few milliseconds of work, the execution awaits `next_turn`.
    """

    max_bytes: float = math.inf
    max_errors: float = math.inf
    fields_at_a_time: int = 2000
    next_turn: Callable[[], Awaitable[None]] = _yield_once


UNBOUNDED = Bounds()


class Turns:
    """Resumes long executions one at a time: one in each iteration of the event loop.

    However many there are, other tasks wait only for one part of one of them.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_scheduled = False

    async def wait(self) -> None:
        """Wait for the next turn. Turns are given in order of arrival."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._resume_next, loop)
        await turn

    def _resume_next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                loop.call_soon(self._resume_next, loop)
                return
        self._is_scheduled = False

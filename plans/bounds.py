"""What one execution may take up: bytes, errors, and time without a turn of the event loop."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


class ResponseTooLarge(Exception):
    """The response is larger than its bounds allow; its execution has been given up."""


async def _any_turn() -> None:
    await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of an execution.

    After `fields_at_a_time` fields, a few milliseconds, an execution waits for `next_turn`.
    """

    max_bytes: float = math.inf
    max_errors: float = math.inf
    fields_at_a_time: int = 2000
    next_turn: Callable[[], Awaitable[None]] = _any_turn


UNBOUNDED = Bounds()


class Turns:
    """Lets long executions continue one at a time: one of them in each iteration of the event loop.

    However many there are, everything else waits for a part of one of them.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_scheduled = False

    async def wait(self) -> None:
        """Wait for the next turn, first come, first served."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._next, loop)
        await turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                loop.call_soon(self._next, loop)
                return
        self._is_scheduled = False

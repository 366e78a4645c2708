"""Admitting requests a few at a time, so that a burst of requests does not delay everything else."""

import asyncio
from collections import deque

_AT_ONCE = 4


class Admission:
    """Starts at most four requests in each iteration of the event loop, in order of arrival.

    The first requests of a burst reach the database before the next ones are parsed, and results from the
    database wait behind a few requests instead of behind the whole burst.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._begun = 0
        """How many requests have started in this iteration of the event loop."""

    async def wait(self) -> None:
        """Return when the request may start; immediately if fewer than four have in this iteration."""
        loop = asyncio.get_running_loop()
        if self._begun < _AT_ONCE:
            self._begin(loop)
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._begun:
            loop.call_soon(self._next_turn, loop)
        self._begun += 1

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begun = 0
        while self._waiting and self._begun < _AT_ONCE:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._begin(loop)

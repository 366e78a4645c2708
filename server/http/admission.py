"""Admitting requests a few at a time, so that a burst of them holds up nothing else."""

import asyncio
from collections import deque

_AT_ONCE = 4


class Admission:
    """Lets a few requests begin in each turn of the event loop, first come, first served.

    Of many that arrive together, the first have the database at work by the time that the next ones begin.
    What comes meanwhile, from the database too, waits for a few of them only.
    """

    def __init__(self) -> None:
        """Have nobody wait yet."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._begun = 0
        """How many have begun in this turn of the event loop."""

    async def wait(self) -> None:
        """Wait for one's turn, which for the first ones has come."""
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

"""An event that takes little memory until it is waited for."""

import asyncio
from collections import deque
from typing import Any, Literal


class LazyEvent(asyncio.Event):
    """An event without a queue, which is created when a task waits. An empty one takes 700 bytes.

    Every request has an event for the rest of its body, and most bodies have arrived before they are read.
    """

    def __init__(self) -> None:
        self._waiters: Any = ()
        self._value = False

    async def wait(self) -> Literal[True]:
        """Wait until the event is set."""
        if not self._value and not self._waiters:
            self._waiters = deque()
        return await super().wait()

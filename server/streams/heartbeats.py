"""Heartbeats of all open streams, sent by one task."""

import asyncio
from typing import Protocol


class Beating(Protocol):
    """A stream that sends heartbeats."""

    def beat(self) -> None:
        """Send a heartbeat, without waiting."""
        ...


_STEPS = 20


class Heartbeats:
    """Sends a heartbeat on every stream every so many seconds."""

    def __init__(self, every_seconds: float) -> None:
        """Begin without streams. `keep` must run for as long as streams are served."""
        self._every_seconds = every_seconds
        # The next one that is due comes first.
        self._due: dict[Beating, float] = {}

    def begin(self, beating: Beating) -> None:
        """Send heartbeats on this stream until `end`."""
        self._due[beating] = asyncio.get_running_loop().time() + self._every_seconds

    def end(self, beating: Beating) -> None:
        """Stop sending heartbeats on this stream."""
        del self._due[beating]

    async def keep(self) -> None:
        """Send the heartbeats, without end."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            while self._due:
                beating, due = next(iter(self._due.items()))
                if due > now:
                    break
                del self._due[beating]
                self._due[beating] = now + self._every_seconds
                beating.beat()
            await asyncio.sleep(self._every_seconds / _STEPS)

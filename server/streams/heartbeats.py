"""Signs of life on all open streams, by one task."""

import asyncio
from typing import Protocol


class Beating(Protocol):
    """What shows signs of life."""

    def beat(self) -> None:
        """Send one, without waiting."""
        ...


_STEPS = 20


class Heartbeats:
    """Has every stream show a sign of life every so many seconds."""

    def __init__(self, every_seconds: float) -> None:
        """Have none yet; `keep` must run for as long as streams are served."""
        self._every_seconds = every_seconds
        # The next one to beat comes first.
        self._due: dict[Beating, float] = {}

    def begin(self, beating: Beating) -> None:
        """Have it beat every so many seconds until `end`."""
        self._due[beating] = asyncio.get_running_loop().time() + self._every_seconds

    def end(self, beating: Beating) -> None:
        """Have it beat no more."""
        del self._due[beating]

    async def keep(self) -> None:
        """Keep all of them beating, without end."""
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

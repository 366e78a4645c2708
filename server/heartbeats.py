"""Signs of life on all open streams, by one task."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

Beat = Callable[[], None]
"""Sends a sign of life, without waiting."""

_STEPS = 20


class Heartbeats:
    """Has every stream show a sign of life every so many seconds."""

    def __init__(self, every_seconds: float) -> None:
        """Have none yet; `keep` must run for as long as streams are served."""
        self._every_seconds = every_seconds
        # The next one to beat comes first.
        self._due: dict[Beat, float] = {}

    @contextmanager
    def beating(self, beat: Beat) -> Generator[None]:
        """Call `beat` every so many seconds while the block runs."""
        self._due[beat] = asyncio.get_running_loop().time() + self._every_seconds
        try:
            yield
        finally:
            del self._due[beat]

    async def keep(self) -> None:
        """Keep all of them beating, without end."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            while self._due:
                beat, due = next(iter(self._due.items()))
                if due > now:
                    break
                del self._due[beat]
                self._due[beat] = now + self._every_seconds
                beat()
            await asyncio.sleep(self._every_seconds / _STEPS)

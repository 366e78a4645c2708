"""Waiting longer each time, and not all at once."""

import asyncio
import random


class Backoff:
    """Waits of about 0.1 seconds, doubling up to `most_seconds`, each shortened by up to half by chance."""

    def __init__(self, most_seconds: float = 5) -> None:
        """Begin with the shortest."""
        self._most_seconds = most_seconds
        self._seconds = 0.1

    def reset(self) -> None:
        """Begin again: it went well."""
        self._seconds = 0.1

    async def wait(self) -> None:
        """Wait, longer than the last time."""
        await asyncio.sleep(self._seconds * random.uniform(0.5, 1))
        self._seconds = min(self._seconds * 2, self._most_seconds)

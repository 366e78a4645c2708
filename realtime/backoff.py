"""Exponential backoff with jitter."""

import asyncio
import random


class Backoff:
    """Delays of 0.1 seconds, doubling up to `most_seconds`, each reduced at random by up to a half."""

    def __init__(self, most_seconds: float = 5) -> None:
        """Start with the shortest delay."""
        self._most_seconds = most_seconds
        self._seconds = 0.1

    def reset(self) -> None:
        """Return to the shortest delay, after a success."""
        self._seconds = 0.1

    async def wait(self) -> None:
        """Wait for the next delay."""
        await asyncio.sleep(self._seconds * random.uniform(0.5, 1))
        self._seconds = min(self._seconds * 2, self._most_seconds)

"""Hints: what a broadcaster carries, and the bounded buffer in which one subscriber finds them."""

import asyncio
from collections import deque
from dataclasses import dataclass
from uuid import UUID

from db.records import InboxEntry


@dataclass(frozen=True, slots=True)
class Hint:
    """News that an entry has been appended to a user's inbox. The log is the truth, this only wakes."""

    user_id: UUID
    entry: InboxEntry


class Subscriber:
    """One stream's buffer of hints.

    At most `backlog` hints wait in it. When one more comes, all are dropped and the subscriber is told
    to look at the log instead, so a slow reader costs a bounded amount of memory and delays nobody.
    """

    def __init__(self, backlog: int = 100) -> None:
        self._backlog = backlog
        self._hints: deque[Hint] = deque()
        self._look_at_log = False
        self._woken = asyncio.Event()

    def offer(self, hint: Hint) -> None:
        """Add a hint; returns at once, whatever the subscriber does."""
        if self._look_at_log:
            return
        if len(self._hints) >= self._backlog:
            self.look_at_log()
            return
        self._hints.append(hint)
        self._woken.set()

    def look_at_log(self) -> None:
        """Say that hints may have been missed."""
        self._hints.clear()
        self._look_at_log = True
        self._woken.set()

    async def next(self) -> Hint | None:
        """Wait for the next hint; None means: look at the log."""
        await self._woken.wait()
        if self._look_at_log:
            self._look_at_log = False
            self._woken.clear()
            return None
        hint = self._hints.popleft()
        if not self._hints:
            self._woken.clear()
        return hint

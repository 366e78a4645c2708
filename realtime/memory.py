"""The broadcaster for one process."""

from collections.abc import AsyncGenerator, Sequence, Set
from contextlib import asynccontextmanager
from uuid import UUID

from realtime.hints import Hint, Subscriber
from realtime.metrics import HINTS


class MemoryBroadcaster:
    """Carries hints to the subscribers of this process."""

    def __init__(self, *, backlog: int = 100) -> None:
        """Make a broadcaster whose subscribers each buffer at most `backlog` hints."""
        self._backlog = backlog
        self._subscribers: dict[UUID, set[Subscriber]] = {}

    def __len__(self) -> int:
        """Return the number of subscribers attached."""
        return sum(map(len, self._subscribers.values()))

    async def publish(self, hints: Sequence[Hint]) -> None:
        """Offer each hint to the subscribers of its user."""
        HINTS.inc(len(hints))
        for hint in hints:
            for subscriber in self.subscribers_of(hint.user_id):
                subscriber.offer(hint)

    def subscribers_of(self, user_id: UUID) -> Set[Subscriber]:
        """Return the user's subscribers at this moment."""
        return self._subscribers.get(user_id, set())

    @asynccontextmanager
    async def subscribe(self, user_id: UUID) -> AsyncGenerator[Subscriber]:
        """Attach a subscriber for as long as the block runs."""
        subscriber = Subscriber(self._backlog)
        attached = self._subscribers.setdefault(user_id, set())
        attached.add(subscriber)
        try:
            yield subscriber
        finally:
            attached.discard(subscriber)
            if not attached:
                self._subscribers.pop(user_id, None)

"""The subscribers of this process, and the bounded buffer in which each finds its hints."""

import asyncio
from collections.abc import Generator, Iterator, Mapping, Set
from contextlib import contextmanager
from uuid import UUID

from realtime.hints import Hint


class Subscriber:
    """One stream's buffer of hints.

    At most `backlog` hints wait in it. When one more comes, all are dropped and the subscriber is told
    to look at the log instead, so a slow reader costs a bounded amount of memory and delays nobody.
    """

    def __init__(self, backlog: int = 100) -> None:
        self._backlog = backlog
        # Lists and futures: most subscribers wait most of the time, and should take up little then.
        self._hints: list[Hint] = []
        self._look_at_log = False
        self._waiting: asyncio.Future[None] | None = None
        self.position: int | None = None
        """How far its reader has come in the inbox; None until it has begun."""

    def offer(self, hint: Hint) -> None:
        """Add a hint; returns at once, whatever the subscriber does."""
        if self._look_at_log:
            return
        if len(self._hints) >= self._backlog:
            self.look_at_log()
            return
        self._hints.append(hint)
        self._wake()

    def look_at_log(self) -> None:
        """Say that hints may have been missed."""
        self._hints.clear()
        self._look_at_log = True
        self._wake()

    def compare(self, last_position: int) -> None:
        """Say where the inbox ends: a reader that waits before that has missed a hint."""
        if not self._is_woken and self.position is not None and self.position < last_position:
            self.look_at_log()

    async def next(self) -> Hint | None:
        """Wait for the next hint; None means: look at the log."""
        if not self._is_woken:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        if self._look_at_log:
            self._look_at_log = False
            return None
        return self._hints.pop(0)

    @property
    def _is_woken(self) -> bool:
        return self._look_at_log or bool(self._hints)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Subscribers:
    """All subscribers of this process, by user."""

    def __init__(self, *, backlog: int = 100) -> None:
        """Have none; each that comes buffers at most `backlog` hints."""
        self._backlog = backlog
        self._attached: dict[UUID, set[Subscriber]] = {}

    def __len__(self) -> int:
        """Return how many are attached."""
        return sum(map(len, self._attached.values()))

    def __iter__(self) -> Iterator[Subscriber]:
        """Iterate over those attached at this moment."""
        return iter([each for attached in self._attached.values() for each in attached])

    def users(self) -> Set[UUID]:
        """Return the users who have a subscriber here, as a view that stays current."""
        return self._attached.keys()

    @contextmanager
    def attached(self, user_id: UUID) -> Generator[Subscriber]:
        """Attach a subscriber for as long as the block runs."""
        subscriber = Subscriber(self._backlog)
        attached = self._attached.setdefault(user_id, set())
        attached.add(subscriber)
        try:
            yield subscriber
        finally:
            attached.discard(subscriber)
            if not attached and self._attached.get(user_id) is attached:
                del self._attached[user_id]

    def offer(self, hint: Hint) -> None:
        """Offer a hint to the subscribers of its user."""
        for subscriber in self._attached.get(hint.user_id, ()):
            subscriber.offer(hint)

    def wake(self, user_id: UUID) -> None:
        """Have the user's subscribers look at the log."""
        for subscriber in self._attached.get(user_id, ()):
            subscriber.look_at_log()

    def wake_all(self) -> None:
        """Have every subscriber look at its log: hints may have been missed."""
        for subscriber in self:
            subscriber.look_at_log()

    def compare(self, last_positions: Mapping[UUID, int]) -> None:
        """Wake those who wait although their inbox goes on."""
        for user_id, last_position in last_positions.items():
            for subscriber in self._attached.get(user_id, ()):
                subscriber.compare(last_position)

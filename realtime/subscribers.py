"""The subscribers of this process, and the bounded buffer in which each finds its hints."""

import asyncio
from collections.abc import Generator, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from db.records import InboxEntry
from realtime.hints import Hint


class Waiting(Protocol):
    """Who waits for a subscriber's hints without a task of its own."""

    def take(self, entry: InboxEntry) -> bool:
        """Deal with the inbox's next entry at once and never fail; false leaves it to be read."""
        ...

    def wake(self) -> None:
        """Have somebody read what there is: from now on hints wait in the buffer."""
        ...


class Subscriber:
    """One stream's buffer of hints.

    At most `backlog` hints wait in it. When one more comes, all are dropped and the subscriber is told
    to look at the log instead, so a slow reader costs a bounded amount of memory and delays nobody.
    """

    # Most subscribers wait most of the time, and should take up little then.
    __slots__ = ("_awaited", "_backlog", "_hints", "_look_at_log", "position", "user_id", "waiting")

    def __init__(self, user_id: UUID, backlog: int = 100) -> None:
        self.user_id = user_id
        self._backlog = backlog
        self._hints: list[Hint] = []
        self._look_at_log = False
        self._awaited: asyncio.Future[None] | None = None
        self.position: int | None = None
        """How far its reader has come in the inbox; None until it has begun."""
        self.waiting: Waiting | None = None
        """Who is to deal with what comes, until it wants to read again; None while somebody reads."""

    def offer(self, hint: Hint) -> None:
        """Add a hint; returns at once, whatever the subscriber does."""
        if self._look_at_log or self._is_dealt_with(hint.entry):
            return
        if len(self._hints) >= self._backlog:
            self.look_at_log()
            return
        self._hints.append(hint)
        self._wake()

    def _is_dealt_with(self, entry: InboxEntry) -> bool:
        if self.waiting is None or self.position is None:
            return False
        if entry.position == self.position + 1 and self.waiting.take(entry):
            self.position = entry.position
        return entry.position <= self.position

    def look_at_log(self) -> None:
        """Say that hints may have been missed."""
        self._hints.clear()
        self._look_at_log = True
        self._wake()

    def compare(self, last_position: int) -> None:
        """Say where the inbox ends: a reader that neither is there nor has a hint of it has missed one."""
        if self.position is None:
            return
        known = max(self.position, self._hints[-1].entry.position) if self._hints else self.position
        if not self._look_at_log and known < last_position:
            self.look_at_log()

    async def next(self) -> Hint | None:
        """Wait for the next hint; None means: look at the log."""
        if not self.is_woken:
            self._awaited = asyncio.get_running_loop().create_future()
            try:
                await self._awaited
            finally:
                self._awaited = None
        if self._look_at_log:
            self._look_at_log = False
            return None
        return self._hints.pop(0)

    @property
    def is_woken(self) -> bool:
        """Whether `next` has something to say."""
        return self._look_at_log or bool(self._hints)

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.wake()


class Subscribers:
    """All subscribers of this process, by user."""

    def __init__(self, *, backlog: int = 100) -> None:
        """Have none; each that comes buffers at most `backlog` hints."""
        self._backlog = backlog
        self.suspicion = asyncio.Event()
        """Set when hints may have been missed: inboxes are then to be compared at once."""
        # Tuples: whoever is offered a hint may end their subscription on the spot.
        self._attached: dict[UUID, tuple[Subscriber, ...]] = {}

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
        subscriber = self.attach(user_id)
        try:
            yield subscriber
        finally:
            self.detach(subscriber)

    def attach(self, user_id: UUID) -> Subscriber:
        """Attach a subscriber until `detach`."""
        subscriber = Subscriber(user_id, self._backlog)
        self._attached[user_id] = (*self._attached.get(user_id, ()), subscriber)
        return subscriber

    def detach(self, subscriber: Subscriber) -> None:
        """Offer it nothing any more."""
        others = tuple(each for each in self._attached[subscriber.user_id] if each is not subscriber)
        if others:
            self._attached[subscriber.user_id] = others
        else:
            del self._attached[subscriber.user_id]

    def offer(self, hint: Hint) -> None:
        """Offer a hint to the subscribers of its user."""
        for subscriber in self._attached.get(hint.user_id, ()):
            subscriber.offer(hint)

    def wake(self, user_id: UUID) -> None:
        """Have the user's subscribers look at the log."""
        for subscriber in self._attached.get(user_id, ()):
            subscriber.look_at_log()

    def suspect(self) -> None:
        """Have all inboxes compared with the database: hints may have been missed."""
        self.suspicion.set()

    def compare(self, last_positions: Mapping[UUID, int]) -> None:
        """Wake those who wait although their inbox goes on."""
        for user_id, last_position in last_positions.items():
            for subscriber in self._attached.get(user_id, ()):
                subscriber.compare(last_position)

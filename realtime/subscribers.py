"""The subscribers of this process, each with a bounded buffer of hints."""

import asyncio
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from db.entries import InboxEntry, Place, Standing
from realtime.hints import Hint


class Waiting(Protocol):
    """Takes a subscriber's entries when they arrive, without a task."""

    def take(self, entry: InboxEntry, place: Place) -> bool:
        """Process the inbox's next entry without waiting. If False, it must be read from the log.

        `place` is the one after it.
        """
        ...

    def wake(self) -> None:
        """Start reading. From now on, hints wait in the buffer."""
        ...


class Subscriber:
    """A stream's buffer of hints.

    It holds at most `backlog` hints. If another one arrives, all of them are dropped and the reader reads the
    log instead. A slow reader therefore uses a bounded amount of memory and does not delay others.
    """

    # There are many subscribers, most of them idle, so their size matters.
    __slots__ = (
        "_awaited",
        "_backlog",
        "_hints",
        "_look_at_log",
        "ahead",
        "epoch",
        "is_lost",
        "place",
        "user_id",
        "waiting",
    )

    def __init__(self, user_id: UUID, backlog: int = 100) -> None:
        self.user_id = user_id
        self._backlog = backlog
        self._hints: list[Hint] = []
        self._look_at_log = False
        self._awaited: asyncio.Future[None] | None = None
        self.place: Place | None = None
        """The place in the inbox up to which the reader has taken entries; None before it has started."""
        self.ahead: Place | None = None
        """The place up to which more entries have been read, or taken by one that shares them."""
        self.epoch: UUID | None = None
        """The epoch in which it has reached the place; None if it is not known."""
        self.is_lost = False
        """Whether the log no longer has all entries up to the place, so that the reader cannot go on."""
        self.waiting: Waiting | None = None
        """Takes entries when they arrive; None while a task reads."""

    def offer(self, hint: Hint) -> None:
        """Pass a hint to `waiting`, or add it to the buffer."""
        if self._look_at_log or self._is_taken(hint.entry):
            return
        if len(self._hints) >= self._backlog:
            self.look_at_log()
            return
        self._hints.append(hint)
        self._wake()

    def _is_taken(self, entry: InboxEntry) -> bool:
        place = self.place
        if self.waiting is None or place is None:
            return False
        if entry.position == place.position + 1:
            after = entry.place
            if not self.waiting.take(entry, after):
                return False
            self.place = after
            return True
        return entry.position <= place.position and not place.is_contradicted_by(entry)

    def lose(self) -> None:
        """Make the reader stop, because the log no longer has all entries up to its place."""
        self.is_lost = True
        self.look_at_log()

    def doubt(self) -> None:
        """Make the reader read the log next, unless it waits: what it has read may have been lost."""
        if self.place is not None and self.waiting is None and self._awaited is None:
            self.look_at_log()

    def look_at_log(self) -> None:
        """Make the reader read the log, because hints may have been lost."""
        self._hints.clear()
        self._look_at_log = True
        self._wake()

    @property
    def furthest(self) -> Place | None:
        """The furthest place up to which entries have been taken, by the reader or another."""
        place, ahead = self.place, self.ahead
        return ahead if place and ahead and ahead.position > place.position else place

    def compare(self, epoch: UUID, last_position: int) -> None:
        """Make the reader read the log if that may have other entries than the reader knows of.

        It knows of those that it has taken, and of those whose hints wait.
        """
        if self.place is None or self._look_at_log:
            return
        taken = self.place.position
        known = max(taken, self._hints[-1].entry.position) if self._hints else taken
        if known < last_position or last_position < taken or self.epoch not in (None, epoch):
            self.look_at_log()

    async def next(self) -> Hint | None:
        """Wait for the next hint. None means that the log must be read."""
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
        """Whether `next` returns without waiting."""
        return self._look_at_log or bool(self._hints)

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.wake()


class Subscribers:
    """All subscribers in this process, by user."""

    def __init__(self, *, backlog: int = 100) -> None:
        """Start without subscribers. Each will buffer at most `backlog` hints."""
        self._backlog = backlog
        self.suspicion = asyncio.Event()
        """Set when hints may have been lost, so that inboxes are compared immediately."""
        self.doubts = 0
        """How often there has been doubt whether the database still has all entries that were taken."""
        self.is_in_doubt = False
        """Whether places must be verified."""
        # Tuples, because a subscriber may be detached while hints are offered.
        self._attached: dict[UUID, tuple[Subscriber, ...]] = {}

    def __len__(self) -> int:
        """Return the number of attached subscribers."""
        return sum(map(len, self._attached.values()))

    def __iter__(self) -> Iterator[Subscriber]:
        """Iterate over the subscribers that are attached now."""
        return iter([each for attached in self._attached.values() for each in attached])

    def users(self) -> Set[UUID]:
        """Return a live view of the users that have a subscriber in this process."""
        return self._attached.keys()

    @contextmanager
    def attached(self, user_id: UUID) -> Generator[Subscriber]:
        """Attach a subscriber while the block runs."""
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
        """Detach the subscriber: it receives no further hints."""
        others = tuple(each for each in self._attached[subscriber.user_id] if each is not subscriber)
        if others:
            self._attached[subscriber.user_id] = others
        else:
            del self._attached[subscriber.user_id]

    def offer(self, hint: Hint) -> None:
        """Offer a hint to the subscribers of its user."""
        if self.is_in_doubt:
            # Its position may be another one than that in the log that they have read so far.
            self.wake(hint.user_id)
            return
        for subscriber in self._attached.get(hint.user_id, ()):
            subscriber.offer(hint)

    def wake(self, user_id: UUID) -> None:
        """Make the user's subscribers read the log."""
        for subscriber in self._attached.get(user_id, ()):
            subscriber.look_at_log()

    def suspect(self) -> None:
        """Request a comparison of all inboxes with the database, because hints may have been lost."""
        self.suspicion.set()

    def compare(self, epoch: UUID, last_positions: Mapping[UUID, int]) -> None:
        """Wake the subscribers whose inboxes may have other entries than they know of."""
        for user_id, last_position in last_positions.items():
            for subscriber in self._attached.get(user_id, ()):
                subscriber.compare(epoch, last_position)

    def doubt(self) -> None:
        """Request that all places are verified, because another database server responds.

        Until `settle`, hints only make subscribers read the log, where each place is verified too.
        """
        self.doubts += 1
        self.is_in_doubt = True
        for subscriber in self:
            subscriber.doubt()
        self.suspect()

    def places(self) -> Sequence[tuple[Subscriber, Place]]:
        """Return the subscribers that have a place in an inbox, each with the furthest one."""
        return [(each, place) for each in self if (place := each.furthest) is not None]

    def settle(self, doubts: int, verified: Iterable[tuple[Subscriber, Place, Standing | None]]) -> int:
        """Trust hints again, if no doubt has come after that many.

        The subscribers whose inbox does not have their place lose it. Return how many these are.
        """
        lost = 0
        for subscriber, place, standing in verified:
            if standing is not None and not standing.has(subscriber.epoch or standing.epoch, place):
                subscriber.lose()
                lost += 1
        if self.doubts == doubts:
            self.is_in_doubt = False
        return lost

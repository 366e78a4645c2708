"""Streams of one viewer with the same selection share one execution of each event.

A `SharingStream` has one of three roles:

- ALONE: it follows its own inbox and executes its events. Every stream starts in this role.
- LISTENING: its task does nothing; the chunks of events are written to it when they are available.
- LEADING: it follows the inbox of the run, executes events and passes them to the listeners.

The streams that listen or lead belong to a `SharedRun`, which owns their inbox. While they are caught up, the
run *waits*: no stream leads, and the task that publishes a hint writes its entry to all of them, if it can be
executed without waiting. Otherwise, a listener leads until it has caught up.

| event | from | to | what happens |
|---|---|---|---|
| `caught_up`, and no run exists | ALONE | LISTENING | it creates a run, which takes its inbox and waits |
| `caught_up` at the run's place or past it, or `rejoin` at it | ALONE | LISTENING | it joins the run |
| `caught_up` or `rejoin` otherwise | ALONE | ALONE | it continues to follow |
| `caught_up` | LEADING | LISTENING | the run waits |
| the waiting run cannot tell that it has caught up at once | LISTENING | LEADING | as if it were woken |
| the waiting run is woken | LISTENING | LEADING | the listener that is furthest behind leads |
| it cannot take an event at once, or has another at its place | LISTENING | ALONE | it starts at its cursor |
| `yield_lead`, and others listen | LEADING | ALONE | as above, and a listener leads |
| `yield_lead`, and no other listens | LEADING | ALONE | the run ends, and the stream owns the inbox |
| `leave`, and others listen | LEADING | ALONE | a listener leads, and reads the remaining entries |
| `leave`, and others remain | LISTENING | ALONE | nothing |
| `leave` of the last | any | ALONE | the run ends, and its inbox is detached |
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum

import structlog

from db.entries import CAUGHT_UP, InboxEntry, Place
from realtime.followed_inbox import FollowedInbox

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SharedEvent:
    """An event as it is written to every stream: its place in the inbox, and its chunk of the response."""

    place: Place
    chunk: bytes


class Role(Enum):
    """The role of a stream in executing its events."""

    ALONE = "alone"
    LISTENING = "listening"
    LEADING = "leading"


class SharedRun:
    """The listening streams, their leader, if any, and the inbox that they share.

    Every listener has all events up to the run's position, so a leader that starts there skips nothing.
    """

    __slots__ = ("_key", "_runs", "_waiting_kinds", "inbox", "leader", "listeners")

    def __init__(self, runs: "dict[Hashable, SharedRun]", key: Hashable, inbox: FollowedInbox) -> None:
        """Own the inbox until `end`."""
        self._runs = runs
        self._key = key
        runs[key] = self
        self.inbox = inbox
        inbox.owner = self
        self.leader: SharingStream | None = None
        self.listeners: set[SharingStream] = set()
        # All events of a kind are alike: if one has to wait for the database, so do the next ones.
        self._waiting_kinds: frozenset[int] = frozenset()

    @property
    def place(self) -> Place:
        """The place up to which the listeners have all events."""
        return self.inbox.place if self.leader is None else self.leader.place

    def wait(self) -> None:
        """Let no stream lead until an entry requires it."""
        self.leader = None
        self.inbox.subscriber.waiting = self

    def take(self, entry: InboxEntry, place: Place) -> bool:
        """Execute and pass on the inbox's next entry, or a CAUGHT_UP, after which the inbox is at `place`.

        Return False if this would have to wait.
        """
        try:
            if not self.inbox.wants(entry):
                return True
            chunk = self._executed_at_once(entry, place)
            if chunk is None:
                return False
            self.inbox.reported = entry.position
            self.hand_on(SharedEvent(place, chunk))
        except Exception:  # the task that publishes the hint, or reports to all runs, must not fail
            log.exception("event not delivered at once")
            return False
        return True

    def _executed_at_once(self, entry: InboxEntry, place: Place) -> bytes | None:
        if entry.kind in self._waiting_kinds or (entry.message is None and entry.kind != CAUGHT_UP):
            return None
        chunk = next(iter(self.listeners)).execute_at_once(*self.inbox.event(entry, place))
        if chunk is None:
            self._waiting_kinds |= {entry.kind}
        return chunk

    def report_place(self) -> None:
        """While the run waits, send its streams the cursor that it has reached, if they do not know it."""
        if self.leader is not None or not self.listeners:
            return
        entry = self.inbox.owed()
        if entry is not None and not self.take(entry, self.inbox.place):
            # The one that leads owes it, too.
            self.inbox.subscriber.waiting = None
            self.wake()

    def wake(self) -> None:
        """Make a listener lead, because there are entries to read."""
        assert self.leader is None
        self._choose_leader(self.place)

    def _choose_leader(self, place: Place) -> None:
        """Make the listener that is furthest behind the leader, so that no other listener misses an event."""
        leader = min(self.listeners, key=lambda listener: listener.position)
        # All of them know this cursor, which may be past the run's. They may not know the run's, if its
        # leader has left before it passed that on.
        self.inbox.reported = leader.position
        # Entries that are left out advance the run but not its listeners. Streams join at its place.
        if leader.position < place.position:
            leader.place = place
        self.inbox.place = leader.place
        self.listeners.remove(leader)
        self.leader = leader
        leader.lead()

    def hand_on(self, event: SharedEvent) -> None:
        """Pass an event to the listeners, and evict those that cannot take it."""
        evicted = [listener for listener in self.listeners if not listener.take(event)]
        for listener in evicted:
            self.remove(listener)
            listener.begin_again(self.inbox)

    def remove(self, stream: "SharingStream") -> None:
        """Remove a listener or the leader; end with the last one."""
        self.listeners.discard(stream)
        if self.leader is not None and self.leader is not stream:
            return
        if not self.listeners:
            self.end()
            self.inbox.leave()
        elif self.leader is stream:
            # It may have taken entries that it has not passed on.
            self.inbox.subscriber.look_at_log()
            self._choose_leader(stream.place)

    def end(self) -> None:
        """Accept no further streams, and give up the inbox."""
        del self._runs[self._key]
        self.inbox.subscriber.waiting = None
        self.inbox.owner = None


class SharedEvents:
    """The runs of this process."""

    def __init__(self) -> None:
        """Start without runs."""
        self.runs: dict[Hashable, SharedRun] = {}


class SharingStream(ABC):
    """A stream that shares its events with others of the same key."""

    __slots__ = ("_key", "_run", "_runs", "_turn", "knows_caught_up", "place", "role")

    def __init__(self, shared: SharedEvents, key: Hashable) -> None:
        """Start alone."""
        self._runs = shared.runs
        self._key = key
        self._run: SharedRun | None = None
        # Set when this stream must execute events again: as the leader (None), or alone from a cursor.
        self._turn: asyncio.Future[str | None] | None = None
        self.role = Role.ALONE
        self.place = Place(0)
        """The place up to which the client has been sent all events."""
        self.knows_caught_up = False
        """Whether the client has been told that it has caught up, or does not ask for it."""

    @abstractmethod
    def write_at_once(self, chunk: bytes) -> bool:
        """Write a chunk of the response. Return False if the client does not read fast enough."""

    @abstractmethod
    def execute_at_once(self, cursor: str, event: object) -> bytes | None:
        """Return the event's chunk of the response; None if it cannot be executed without waiting."""

    @property
    def position(self) -> int:
        """The position of the place."""
        return self.place.position

    # Called by the stream's own task.

    @property
    def led_inbox(self) -> FollowedInbox | None:
        """The inbox of the run if this stream leads it."""
        return self._run.inbox if self._run is not None and self.role is Role.LEADING else None

    @property
    def must_listen(self) -> bool:
        """Whether `listen` must be called next, because `caught_up` or `rejoin` has returned True."""
        return self._turn is not None

    def resume_at_once(self, inbox: FollowedInbox) -> bool:
        """Send what the inbox has read already, as far as that needs no waiting.

        Return True if this stream has then caught up, and listens.
        """
        return inbox.resume_at_once(self)

    def send_at_once(self, inbox: FollowedInbox, entry: InboxEntry) -> bool:
        """Execute and send an entry of the inbox that this stream follows alone, without waiting.

        Return False if that is not possible.
        """
        if entry.message is None and entry.kind != CAUGHT_UP:
            return False
        place = inbox.place_of(entry)
        chunk = self.execute_at_once(*inbox.event(entry, place))
        if chunk is None or not self.write_at_once(chunk):
            return False
        self.hand_on(SharedEvent(place, chunk))
        return True

    def caught_up(self, inbox: FollowedInbox) -> bool:
        """Listen from the inbox's place on. Return False, to continue following, if the run is past it."""
        assert self.role is not Role.LISTENING
        self.place = inbox.place
        run = self._run
        if run is None and self._key not in self._runs:
            run = SharedRun(self._runs, self._key, inbox)
        if run is None:
            return self._join(may_be_ahead=not inbox.is_in_doubt)
        self._listen(run)
        run.wait()
        return True

    def rejoin(self) -> bool:
        """Listen if this stream is alone and has caught up with the run. Return whether to stop following.

        This is also the case if the stream has been evicted and must start again.
        """
        if self.role is Role.ALONE and self.knows_caught_up:
            self._join(may_be_ahead=False)
        return self.must_listen

    def hand_on(self, event: SharedEvent) -> None:
        """Record that an event is sent to this client. If the stream leads, pass it to the others."""
        self.place = event.place
        if self._run is not None and self.role is Role.LEADING:
            self._run.hand_on(event)

    def yield_lead(self) -> None:
        """Stop leading, because this stream's client does not read and must not delay the others."""
        run = self._run
        if run is None or self.role is not Role.LEADING:
            return
        if run.listeners:
            run.remove(self)
            self.begin_again(run.inbox)
        else:
            run.end()
            run.inbox.owner = self
            self._run, self.role = None, Role.ALONE

    async def listen(self) -> str | None:
        """Receive events from the run until this stream must execute them again.

        Return None if it leads, or the cursor to start from alone.
        """
        assert self._turn is not None
        cursor = await self._turn
        self._turn = None
        return cursor

    def leave(self) -> None:
        """Leave the run, because the stream has ended."""
        run, self._run, self.role = self._run, None, Role.ALONE
        if run is not None:
            run.remove(self)

    def _join(self, *, may_be_ahead: bool) -> bool:
        run = self._runs.get(self._key)
        if run is None or run.inbox.is_lost:
            return False
        if self.position > run.place.position:
            if not may_be_ahead:
                return False
            run.inbox.note_ahead(self.place)
        elif not self.place.is_same_as(run.place):
            return False
        self._listen(run)
        return True

    def _listen(self, run: SharedRun) -> None:
        self._run, self.role = run, Role.LISTENING
        run.listeners.add(self)
        self._turn = asyncio.get_running_loop().create_future()

    # Called by the run.

    def take(self, event: SharedEvent) -> bool:
        """Write an event unless the client has it already.

        Return False if the client cannot take it, or has been sent another event in its place.
        """
        place, own = event.place, self.place
        if place.position > own.position:
            if not self.write_at_once(event.chunk):
                return False
            self.place = place
            return True
        return place.position < own.position or place.is_same_as(own)

    def lead(self) -> None:
        """Lead the run from this stream's position on."""
        assert self.role is Role.LISTENING
        self.role = Role.LEADING
        self._begin(None)

    def begin_again(self, inbox: FollowedInbox) -> None:
        """Follow an inbox alone, from this stream's place in the given one."""
        self._run, self.role = None, Role.ALONE
        self._begin(inbox.cursor(self.place))

    def _begin(self, cursor: str | None) -> None:
        if self._turn is None:
            self._turn = asyncio.get_running_loop().create_future()
        # It has been cancelled if the stream's task has.
        if not self._turn.done():
            self._turn.set_result(cursor)

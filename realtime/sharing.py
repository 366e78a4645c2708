"""Streams of one viewer that select the same share one execution of each event.

A `SharingStream` has one of three roles:

- ALONE: it follows an inbox of its own and executes its events. Every stream begins so.
- LISTENING: it has no work of its own; the chunks of events are written to it as they come.
- LEADING: it follows the inbox of the run, executes events and hands them to the listeners.

The streams that listen or lead belong to a `SharedRun`, which owns their inbox. While they have caught up,
the run *waits*: no stream leads, and an entry that can be executed without waiting for anything is written to
all of them by the task that publishes its hint. For anything else a listener leads until it has caught up.

| event | from | to | what happens |
|---|---|---|---|
| `caught_up`, and no run exists | ALONE | LISTENING | it founds a run, which takes its inbox and waits |
| `caught_up` or `rejoin`, at the run's position or past it | ALONE | LISTENING | it joins the run |
| `caught_up` or `rejoin`, behind the run | ALONE | ALONE | it follows on |
| `caught_up` | LEADING | LISTENING | the run waits |
| the waiting run is woken | LISTENING | LEADING | the one furthest behind leads |
| its client cannot take an event at once | LISTENING | ALONE | it is evicted: it begins again at its cursor |
| `yield_lead`, and others listen | LEADING | ALONE | as above, and a listener leads |
| `yield_lead`, and no other listens | LEADING | ALONE | the run ends, and the inbox is its own |
| `leave`, and others listen | LEADING | ALONE | a listener leads, and reads what was left undone |
| `leave`, and others remain | LISTENING | ALONE | nothing |
| `leave` of the last | any | ALONE | the run ends, and its inbox is detached |
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum

import structlog

from db.records import InboxEntry
from realtime.followed_inbox import FollowedInbox

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SharedEvent:
    """An event as it is written to every stream: its place in the inbox, and its chunk of the response."""

    position: int
    chunk: bytes


class Role(Enum):
    """What a stream does for the events that it sends."""

    ALONE = "alone"
    LISTENING = "listening"
    LEADING = "leading"


class SharedRun:
    """Listening streams, the one that leads them, if any, and the inbox that they share.

    Its position is never past an event that a listener lacks, so a leader that begins there omits nothing.
    """

    __slots__ = ("_executes_at_once", "_key", "_runs", "inbox", "leader", "listeners")

    def __init__(self, runs: "dict[Hashable, SharedRun]", key: Hashable, inbox: FollowedInbox) -> None:
        """Own the inbox until `end`."""
        self._runs = runs
        self._key = key
        runs[key] = self
        self.inbox = inbox
        inbox.owner = self
        self.leader: SharingStream | None = None
        self.listeners: set[SharingStream] = set()
        self._executes_at_once = True

    @property
    def position(self) -> int:
        """The listeners have been handed all events up to this position."""
        return self.inbox.position if self.leader is None else self.leader.position

    def wait(self) -> None:
        """Have no stream lead until an entry needs it."""
        self.leader = None
        self.inbox.subscriber.waiting = self

    def take(self, entry: InboxEntry) -> bool:
        """Execute and hand on the inbox's next entry if that needs no waiting; say whether it is done."""
        try:
            event = self.inbox.event(entry)
            if event is None:
                return True
            chunk = self._executed_at_once(*event)
        except Exception:  # the task that publishes the hint must not fail
            log.exception("an event could not be executed at once")
            return False
        if chunk is None:
            return False
        self.hand_on(SharedEvent(entry.position, chunk))
        return True

    def _executed_at_once(self, cursor: str, event: object) -> bytes | None:
        if not self._executes_at_once:
            return None
        chunk = next(iter(self.listeners)).execute_at_once(cursor, event)
        # All events of an operation are alike: if one has to wait for the database, the next ones do too.
        self._executes_at_once = chunk is not None
        return chunk

    def wake(self) -> None:
        """Have a listener lead, because there is something to read."""
        assert self.leader is None
        self._choose_leader(self.position)

    def _choose_leader(self, position: int) -> None:
        """Have the listener lead that is furthest behind, so that no other listener misses an event."""
        leader = min(self.listeners, key=lambda listener: listener.position)
        # Entries that are left out move the run on, and not its listeners. Streams join at its position.
        leader.position = max(leader.position, position)
        self.inbox.position = leader.position
        self.listeners.remove(leader)
        self.leader = leader
        leader.lead()

    def hand_on(self, event: SharedEvent) -> None:
        """Hand an event to the listeners, and evict those whose clients cannot take it."""
        slow = [listener for listener in self.listeners if not listener.take(event)]
        for listener in slow:
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
            # It may have taken entries that it has not handed on.
            self.inbox.subscriber.look_at_log()
            self._choose_leader(stream.position)

    def end(self) -> None:
        """Accept no more streams, and own the inbox no longer."""
        del self._runs[self._key]
        self.inbox.subscriber.waiting = None
        self.inbox.owner = None


class SharedEvents:
    """The runs of this process."""

    def __init__(self) -> None:
        """Begin without any."""
        self.runs: dict[Hashable, SharedRun] = {}


class SharingStream(ABC):
    """A stream that shares its events with others of the same key."""

    __slots__ = ("_key", "_run", "_runs", "_turn", "position", "role")

    def __init__(self, shared: SharedEvents, key: Hashable) -> None:
        """Begin alone."""
        self._runs = shared.runs
        self._key = key
        self._run: SharedRun | None = None
        # Done when this stream is to execute events again: as the leader, or alone from a cursor.
        self._turn: asyncio.Future[str | None] | None = None
        self.role = Role.ALONE
        self.position = 0
        """The client has been sent all events up to here."""

    @abstractmethod
    def write_at_once(self, chunk: bytes) -> bool:
        """Write a chunk of the response if the client reads fast enough; say whether it is written."""

    @abstractmethod
    def execute_at_once(self, cursor: str, event: object) -> bytes | None:
        """Return an event's chunk of the response, if it can be executed without waiting for anything."""

    # Called by the stream's own task.

    @property
    def led_inbox(self) -> FollowedInbox | None:
        """The inbox that this stream is to follow on, because it leads."""
        return self._run.inbox if self._run is not None and self.role is Role.LEADING else None

    @property
    def must_listen(self) -> bool:
        """Whether `listen` comes next, because `caught_up` or `rejoin` has returned true."""
        return self._turn is not None

    def caught_up(self, inbox: FollowedInbox) -> bool:
        """Listen from the inbox's position on, unless the run is past it; say whether to stop following."""
        assert self.role is not Role.LISTENING
        self.position = inbox.position
        run = self._run
        if run is None and self._key not in self._runs:
            run = SharedRun(self._runs, self._key, inbox)
        if run is None:
            return self._join()
        self._listen(run)
        run.wait()
        return True

    def rejoin(self) -> bool:
        """Listen, if we are alone and have what the others have; say whether to stop following.

        We stop too when we have been evicted, and have to begin again.
        """
        if self.role is Role.ALONE:
            self._join()
        return self.must_listen

    def hand_on(self, event: SharedEvent) -> None:
        """Note that our client is sent an event; if we lead, hand it to the others."""
        self.position = event.position
        if self._run is not None and self.role is Role.LEADING:
            self._run.hand_on(event)

    def yield_lead(self) -> None:
        """Stop leading, because our client does not read and the others must not wait for it."""
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
        """Be handed events until we have to execute them again.

        Returns the cursor to begin at alone, or None if we lead.
        """
        assert self._turn is not None
        cursor = await self._turn
        self._turn = None
        return cursor

    def leave(self) -> None:
        """Leave the others, because the stream is over."""
        run, self._run, self.role = self._run, None, Role.ALONE
        if run is not None:
            run.remove(self)

    def _join(self) -> bool:
        run = self._runs.get(self._key)
        if run is None or self.position < run.position:
            return False
        self._listen(run)
        return True

    def _listen(self, run: SharedRun) -> None:
        self._run, self.role = run, Role.LISTENING
        run.listeners.add(self)
        self._turn = asyncio.get_running_loop().create_future()

    # Called by the run.

    def take(self, event: SharedEvent) -> bool:
        """Write an event, unless the client has it; say whether the client has it now."""
        if event.position > self.position:
            if not self.write_at_once(event.chunk):
                return False
            self.position = event.position
        return True

    def lead(self) -> None:
        """Lead the run from our position on."""
        assert self.role is Role.LISTENING
        self.role = Role.LEADING
        self._begin(None)

    def begin_again(self, inbox: FollowedInbox) -> None:
        """Follow an inbox of our own, from where we have come to in this one."""
        self._run, self.role = None, Role.ALONE
        self._begin(inbox.cursor(self.position))

    def _begin(self, cursor: str | None) -> None:
        if self._turn is None:
            self._turn = asyncio.get_running_loop().create_future()
        # It is cancelled while our task is.
        if not self._turn.done():
            self._turn.set_result(cursor)

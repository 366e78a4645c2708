"""Streams of one viewer that ask for the same share one execution of each event, and wait together.

A stream that has caught up with its inbox joins the others. Mostly nobody leads them: an event that can be
executed without waiting for anything is written to all of them on the spot, by whoever announces it. For all
else one of them leads: it follows the inbox, executes what there is, hands it to the others, and joins them
again when it has caught up. A client that does not read fast enough leaves them, and joins them when it has
caught up by itself.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass

import structlog

from db.records import InboxEntry
from realtime.followed_inbox import FollowedInbox

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SharedEvent:
    """An event as it is written to every stream: its place in the inbox, and its chunk of the response."""

    position: int
    chunk: bytes


class SharedRun:
    """The events of one operation of one viewer: who listens, and who leads, if anybody does.

    Nobody who listens has come less far than its position, so whoever leads from there leaves nothing out.
    """

    __slots__ = ("_is_executed_at_once", "_key", "_runs", "followed", "leader", "listeners", "position")

    def __init__(
        self, runs: "dict[Hashable, SharedRun]", key: Hashable, followed: FollowedInbox[object]
    ) -> None:
        """Keep the inbox until the last stream is gone."""
        self._runs = runs
        self._key = key
        runs[key] = self
        self.followed = followed
        followed.is_kept = True
        self.leader: SharingStream | None = None
        self.position = 0
        """All events up to there have been handed on."""
        self.listeners: set[SharingStream] = set()
        self._is_executed_at_once = True

    def wait(self, position: int) -> None:
        """Have nobody lead before there is something that needs it."""
        self.leader = None
        self.position = position
        self.followed.subscriber.waiting = self

    def take(self, entry: InboxEntry) -> bool:
        """Execute and hand on the inbox's next entry, if that can be done at once."""
        try:
            event = self.followed.event(entry)
            if event is None:
                self.position = entry.position
                return True
            chunk = self._executed_at_once(*event)
        except Exception:  # whatever it is, who announces the entry has nothing to do with it
            log.exception("an event could not be executed at once")
            return False
        if chunk is None:
            return False
        self.hand_on(SharedEvent(entry.position, chunk))
        return True

    def _executed_at_once(self, cursor: str, event: object) -> bytes | None:
        if not self._is_executed_at_once:
            return None
        chunk = next(iter(self.listeners)).execute_at_once(cursor, event)
        # What has had to wait for something once does so again.
        self._is_executed_at_once = chunk is not None
        return chunk

    def wake(self) -> None:
        """Have the one lead that has come least far."""
        self.leader = min(self.listeners, key=lambda listener: listener.position)
        # What is left out moves no listener on; and who joins must have what the leader begins after.
        self.position = self.leader.position = max(self.leader.position, self.position)
        self.listeners.discard(self.leader)
        self.leader.release()

    def hand_on(self, event: SharedEvent) -> None:
        """Hand an event to the listeners; who cannot take it has to go on by itself."""
        slow = [listener for listener in self.listeners if not listener.take(event)]
        self.position = event.position
        for listener in slow:
            self.remove(listener)
            listener.go_on_alone(self.followed)

    def remove(self, stream: "SharingStream") -> None:
        """Do without a stream; if it has led, another one does, and looks for what it has left undone."""
        self.listeners.discard(stream)
        if self.leader is not None and self.leader is not stream:
            return
        if not self.listeners:
            self.dissolve()
            self.followed.leave()
        elif self.leader is stream:
            self.followed.subscriber.look_at_log()
            self.wake()

    def dissolve(self) -> None:
        """Take in nobody any more."""
        del self._runs[self._key]
        self.followed.subscriber.waiting = None


class SharedEvents:
    """All that is shared in this process."""

    def __init__(self) -> None:
        """Share nothing yet."""
        self.runs: dict[Hashable, SharedRun] = {}


class SharingStream(ABC):
    """A stream among others of its viewer: by itself, leading, or listening."""

    __slots__ = ("_cursor", "_key", "_released", "_run", "_runs", "position")

    def __init__(self, shared: SharedEvents, key: Hashable) -> None:
        """Share events with the streams of the same key."""
        self._runs = shared.runs
        self._key = key
        self._run: SharedRun | None = None
        self._released: asyncio.Future[None] | None = None
        self.position = 0
        """How far it has come, as soon as it has come to anything."""
        self._cursor: str | None = None

    @abstractmethod
    def write_at_once(self, chunk: bytes) -> bool:
        """Write a chunk of the response if the client reads fast enough for that; say whether it does."""

    @abstractmethod
    def execute_at_once(self, cursor: str, event: object) -> bytes | None:
        """Return an event's chunk of the response, if it can be executed without waiting for anything."""

    @property
    def resumed(self) -> tuple[FollowedInbox[object], int] | None:
        """What to follow from where, if we lead."""
        if self._run is None or self._run.leader is not self:
            return None
        return self._run.followed, self.position

    def caught_up(self, position: int, followed: FollowedInbox[object]) -> bool:
        """Listen from here on, unless others have come further; say whether we do."""
        self.position = position
        if self._run is not None:
            self._listen(self._run)
            self._run.wait(position)
        elif self._key not in self._runs:
            self._listen(SharedRun(self._runs, self._key, followed))
            self._runs[self._key].wait(position)
        else:
            return self._joins_others()
        return True

    def hand_on(self, event: SharedEvent) -> None:
        """Note that our client is sent an event; if we lead, hand it to the others."""
        self.position = event.position
        if self._run is not None and self._run.leader is self:
            self._run.hand_on(event)

    @property
    def is_listening(self) -> bool:
        """Whether `listen` is to be called, because `caught_up` or `leaves_off` has said so."""
        return self._released is not None

    def leaves_off(self) -> bool:
        """Say whether to execute no more by ourselves: we listen from here on, or have to begin anew."""
        if self._run is not None:
            return False
        return self._joins_others() or self._cursor is not None

    def _joins_others(self) -> bool:
        run = self._runs.get(self._key)
        if run is None or self.position < run.position:
            return False
        self._listen(run)
        return True

    def _listen(self, run: SharedRun) -> None:
        self._run = run
        self._cursor = None
        run.listeners.add(self)
        self._released = asyncio.get_running_loop().create_future()

    async def listen(self) -> str | None:
        """If we listen, be handed what comes until we have to go on.

        That is from the returned cursor, or without one as the leader.
        """
        if self._released is not None:
            await self._released
        self._released = None
        cursor, self._cursor = self._cursor, None
        return cursor

    def take(self, event: SharedEvent) -> bool:
        """Write an event, unless the client has it; say whether the client could take it."""
        if event.position > self.position:
            if not self.write_at_once(event.chunk):
                return False
            self.position = event.position
        return True

    def release(self) -> None:
        """Stop listening."""
        if self._released is not None and not self._released.done():
            self._released.set_result(None)

    def go_on_alone(self, followed: FollowedInbox[object]) -> None:
        """Begin anew with an inbox of our own, from where we have come to in this one."""
        self._run = None
        self._cursor = followed.cursor(self.position)
        self.release()

    def hold_up_nobody(self) -> None:
        """If we lead, do so no more: our client keeps us waiting."""
        run = self._run
        if run is None or run.leader is not self:
            return
        if run.listeners:
            run.remove(self)
            self.go_on_alone(run.followed)
        else:
            # The inbox is ours alone again.
            run.dissolve()
            run.followed.is_kept = False
            self._run = None

    def leave(self) -> None:
        """Take part no more."""
        run, self._run = self._run, None
        if run is not None:
            run.remove(self)

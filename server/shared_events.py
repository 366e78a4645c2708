"""Streams of one viewer that ask for the same share one execution of each event.

One of them leads: it follows the inbox, executes each event, and hands it to those that listen. Who listens
does nothing by itself: what it is handed is written to its connection at once. When its client does not read
fast enough, it stops listening and follows the inbox by itself until it has caught up again.
"""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SharedEvent:
    """An event as it is written to every stream: its place in the inbox, and its chunk of the response."""

    position: int
    cursor: str
    chunk: bytes


class CanListen(Exception):
    """Another stream executes the same events from here on: no need to go on by oneself."""


class SharedRun:
    """The events of one operation of one viewer: who leads, and who listens.

    Nobody who listens has come less far than its position, so whoever leads from there leaves nothing out.
    """

    def __init__(self, leader: "SharingStream", position: int) -> None:
        self.leader = leader
        self.position = position
        """All events up to there have been handed on."""
        self.listeners: set[SharingStream] = set()

    def hand_on(self, event: SharedEvent) -> None:
        """Hand an event to the listeners; who cannot take it listens no more."""
        self.position = event.position
        slow = [listener for listener in self.listeners if not listener.take(event)]
        for listener in slow:
            self.listeners.discard(listener)
            listener.release()


class SharedEvents:
    """All that is shared in this process."""

    def __init__(self) -> None:
        """Share nothing yet."""
        self._runs: dict[Hashable, SharedRun] = {}

    def stream(self, key: Hashable, write: Callable[[bytes], bool]) -> "SharingStream":
        """Return the part that a stream takes among those with the same key.

        `write` writes a chunk at once, and says whether the client reads fast enough for that.
        """
        return SharingStream(self._runs, key, write)


class SharingStream:
    """A stream among others of its viewer: by itself, leading, or listening."""

    def __init__(
        self, runs: dict[Hashable, SharedRun], key: Hashable, write: Callable[[bytes], bool]
    ) -> None:
        self._runs = runs
        self._key = key
        self._write = write
        self._position: int | None = None
        self._released: asyncio.Future[None] | None = None
        self.cursor: str | None = None
        """Where the client has come to; None before the stream has begun."""

    @property
    def can_listen(self) -> bool:
        """Whether another stream leads, and we have come as far as it has."""
        run = self._runs.get(self._key)
        if run is None or self._position is None:
            return False
        return run.leader is not self and self._position >= run.position

    def caught_up(self, position: int) -> None:
        """Lead from here on, if nobody does.

        Raises:
            CanListen: somebody does.
        """
        self._position = position
        if self._key not in self._runs:
            self._runs[self._key] = SharedRun(self, position)
        elif self.can_listen:
            raise CanListen

    def hand_on(self, event: SharedEvent) -> None:
        """Note that our client is sent an event; if we lead, hand it to the others."""
        self._position, self.cursor = event.position, event.cursor
        run = self._runs.get(self._key)
        if run is not None and run.leader is self:
            run.hand_on(event)

    async def listen(self) -> None:
        """Be handed what another one executes, until we have to go on by ourselves, maybe to lead."""
        if not self.can_listen:
            return
        run = self._runs[self._key]
        self._released = asyncio.get_running_loop().create_future()
        run.listeners.add(self)
        try:
            await self._released
        finally:
            run.listeners.discard(self)

    def take(self, event: SharedEvent) -> bool:
        """Write an event, unless the client has it; say whether the client could take it."""
        if self._position is not None and event.position <= self._position:
            return True
        if not self._write(event.chunk):
            return False
        self._position, self.cursor = event.position, event.cursor
        return True

    def release(self) -> None:
        """End our listening."""
        if self._released is not None and not self._released.done():
            self._released.set_result(None)

    def lead_no_more(self) -> None:
        """If we lead, have the one lead that has come least far of those who listen to us."""
        run = self._runs.get(self._key)
        if run is None or run.leader is not self:
            return
        if not run.listeners:
            del self._runs[self._key]
            return
        leader = min(run.listeners, key=lambda listener: listener._position or 0)
        run.listeners.discard(leader)
        run.leader, run.position = leader, leader._position or 0
        leader.release()

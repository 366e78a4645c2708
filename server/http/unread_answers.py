"""Answers that wait to be read: how slowly a client may read, and how much may wait in a process.

What a client has not read waits in memory, in its connection's write buffer.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from server.observability.metrics import SLOW_CLIENTS_DISCONNECTED

log = structlog.stdlib.get_logger(__name__)


class Unread(Protocol):
    """A connection whose client has something left to read."""

    @property
    def unread_bytes(self) -> int:
        """How much waits to be read."""
        ...

    @property
    def has_own_deadline(self) -> bool:
        """Whether something else ends the connection of a slow client, as streams do."""
        ...

    def abort(self) -> None:
        """Close the connection, and drop what has not been read."""
        ...


_TICK_SECONDS = 0.001


@dataclass(slots=True)
class _Progress:
    """How a client reads: what waited at first, at the last check, and when it was last counted."""

    since: float
    first_bytes: int
    checked_bytes: int
    counted_bytes: int
    timer: asyncio.TimerHandle

    def speed(self, now: float) -> float:
        """Return how many bytes a second the client has read."""
        return (self.first_bytes - self.counted_bytes) / max(now - self.since, _TICK_SECONDS)


class UnreadAnswers:
    """The connections of a process on which much waits to be read."""

    def __init__(self, *, max_bytes: int, min_bytes_per_second: float, window_seconds: float) -> None:
        """Let so much wait in all, for clients that read so fast on average in each window."""
        self._max_bytes = max_bytes
        self._window_seconds = window_seconds
        self._min_window_bytes = min_bytes_per_second * window_seconds
        self._waiting: dict[Unread, _Progress] = {}
        # At least what waits: what has been read since is taken off when it matters.
        self._counted_bytes = 0

    def begin(self, connection: Unread) -> None:
        """Watch a client until `end`; where too much waits in all, close the slowest clients' connections."""
        if connection in self._waiting:
            return
        loop = asyncio.get_running_loop()
        unread = connection.unread_bytes
        timer = loop.call_later(self._window_seconds, self._check, connection)
        self._waiting[connection] = _Progress(loop.time(), unread, unread, unread, timer)
        self._counted_bytes += unread
        if self._counted_bytes > self._max_bytes:
            self._make_room(connection, loop.time())

    def end(self, connection: Unread) -> None:
        """Stop watching it, if it is watched."""
        progress = self._waiting.pop(connection, None)
        if progress is not None:
            progress.timer.cancel()
            self._counted_bytes -= progress.counted_bytes

    def _check(self, connection: Unread) -> None:
        progress, unread = self._waiting[connection], connection.unread_bytes
        if not connection.has_own_deadline and progress.checked_bytes - unread < self._min_window_bytes:
            self._close(connection, "too slow")
            return
        progress.checked_bytes = unread
        loop = asyncio.get_running_loop()
        progress.timer = loop.call_later(self._window_seconds, self._check, connection)

    def _make_room(self, newest: Unread, now: float) -> None:
        """Close the connections of the slowest clients; the newest has not been able to read yet."""
        for connection, progress in self._waiting.items():
            progress.counted_bytes = connection.unread_bytes
        self._counted_bytes = sum(progress.counted_bytes for progress in self._waiting.values())
        while self._counted_bytes > self._max_bytes:
            slowest, _ = min(self._waiting.items(), key=lambda each: (each[0] is newest, each[1].speed(now)))
            self._close(slowest, "too much unread")

    def _close(self, connection: Unread, reason: str) -> None:
        self.end(connection)
        log.warning("slow client disconnected", reason=reason, unread_bytes=connection.unread_bytes)
        SLOW_CLIENTS_DISCONNECTED.labels(reason).inc()
        connection.abort()

"""Limits on unread responses: how slowly a client may read, and how many bytes may wait in a process.

What a client has not read waits in memory, in its connection's write buffer.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from server.observability.metrics import SLOW_CLIENTS_DISCONNECTED

log = structlog.stdlib.get_logger(__name__)


class Unread(Protocol):
    """A connection with unread bytes."""

    @property
    def unread_bytes(self) -> int:
        """How many bytes wait to be read."""
        ...

    @property
    def has_own_deadline(self) -> bool:
        """Whether something else closes the connection of a slow client, as streams do."""
        ...

    def abort(self) -> None:
        """Close the connection, and discard what has not been read."""
        ...


_TICK_SECONDS = 0.001


@dataclass(slots=True)
class _Progress:
    """How fast a client reads: the unread bytes at first, at the last check, and when last counted."""

    since: float
    first_bytes: int
    checked_bytes: int
    counted_bytes: int
    timer: asyncio.TimerHandle

    def speed(self, now: float) -> float:
        """Return how many bytes per second the client has read."""
        return (self.first_bytes - self.counted_bytes) / max(now - self.since, _TICK_SECONDS)


class UnreadAnswers:
    """The connections of a process whose write buffer is full."""

    def __init__(self, *, max_bytes: int, min_bytes_per_second: float, window_seconds: float) -> None:
        """Limit the total of unread bytes, and require a minimum average speed in each window."""
        self._max_bytes = max_bytes
        self._window_seconds = window_seconds
        self._min_window_bytes = min_bytes_per_second * window_seconds
        self._waiting: dict[Unread, _Progress] = {}
        # An upper bound of the unread bytes, which is corrected before connections are closed.
        self._counted_bytes = 0

    def begin(self, connection: Unread) -> None:
        """Watch a client until `end`. If too many bytes wait in total, disconnect the slowest clients."""
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
        """Stop watching the client, if it is watched."""
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
        """Disconnect the slowest clients; the newest comes last, as it had no time to read yet."""
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

"""Closing connections on which no request arrives."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class IdleTimeout(HttpToolsProtocol):
    """uvicorn's protocol with one timer for each connection, instead of a new one after each response.

    A timer that expires too early, because there have been further requests, runs for the remaining time.
    """

    # Not in the instance's dictionary: with more than thirty attributes, that takes 1.5 KB more.
    __slots__ = ("_idle_since",)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # The time of the event loop at which the last response was complete; None after further data.
        self._idle_since: float | None = None

    def on_response_complete(self) -> None:
        """Start the next request that waits, or the time without requests."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._expect_data(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if nothing has arrived for long enough."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        seconds_left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if seconds_left > 0:
            self._expect_data(seconds_left)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def _expect_data(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """Note that the connection is in use. The timer continues, and notices that when it expires."""
        self._idle_since = None

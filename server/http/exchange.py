"""A request and its response."""

from collections.abc import Iterable
from itertools import chain
from types import CoroutineType
from typing import Any, cast

from starlette.types import Scope
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from server.http.corked import CorkedTransport

EXCHANGE = "messenger.exchange"
"""The extension of an ASGI scope that refers to the request's `Exchange`.

The reference is weak, because the exchange refers to the scope. Only the garbage collector could free the two
otherwise, which took a tenth of the time of a request.
"""


class Exchange(RequestResponseCycle):
    """uvicorn's state of a request and its response, with shorter ways for the usual ones."""

    status = 0
    """The status of the response; 0 until it has started."""

    def send(self, message: ASGISendEvent) -> "CoroutineType[Any, Any, None]":
        """Send a part of the response, as an ASGI application does."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        return super().send(message)

    def add_headers(self, *headers: tuple[bytes, bytes]) -> None:
        """Add headers to the response, which has not started."""
        self.default_headers = [*self.default_headers, *headers]

    def take_body(self) -> bytes | None:
        """Return the body of the request if it has arrived; None if it must be received."""
        if self.more_body or self.waiting_for_100_continue or self.disconnected:
            return None
        body = bytes(self.body)
        self.body = bytearray()
        self.message_event.clear()
        self.flow.resume_reading()
        return body

    def answer(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write a complete response immediately. Return False if it has to be sent with `send` instead.

        The headers have the length of the body, which is not empty.
        """
        if (
            self.response_started
            or self.disconnected
            or self.flow.write_paused
            or self.scope["method"] == "HEAD"
        ):
            return False
        self.status = status
        self.response_started = True
        lines = [b"%b: %b\r\n" % header for header in chain(self.default_headers, headers)]
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
            raise RuntimeError("a header of the response contains a line break")
        cast(CorkedTransport, self.transport).write_now(b"%b%b\r\n%b" % (STATUS_LINE[status], head, body))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True


def exchange_of(scope: Scope) -> Exchange:
    """Return the exchange of a request."""
    exchange: Exchange | None = scope["extensions"][EXCHANGE]()
    if exchange is None:
        raise RuntimeError("the exchange is over")
    return exchange

"""Connections, as streams use them: writing without waiting, and callbacks when they end."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope

from server.http.corked import CorkedTransport
from server.http.exchange import Exchange
from server.http.heads import BoundedHeads
from server.http.unread_answers import UnreadAnswers

_EXTENSION = "messenger.connection"


class Connection(BoundedHeads):
    """uvicorn's protocol, which responses reach through an extension of the ASGI scope.

    https://asgi.readthedocs.io/en/latest/extensions.html
    """

    __slots__ = ("_corked", "is_half_closed", "on_half_closed", "on_lost")

    unread_answers: UnreadAnswers

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.on_lost: Callable[[], None] | None = None
        """Called once when the connection is lost."""
        self.on_half_closed: Callable[[], None] | None = None
        """Called once when the client closes its sending side."""
        self.is_half_closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._corked = CorkedTransport(transport, self._watch_unread)
        super().connection_made(cast(asyncio.Transport, self._corked))

    def eof_received(self) -> bool:
        """Notify the open stream that its client has closed its sending side."""
        self.is_half_closed = super().eof_received()
        if self.is_half_closed and self.on_half_closed is not None:
            self.on_half_closed()
        return self.is_half_closed

    def pause_writing(self) -> None:
        """Watch how fast the client reads, because the write buffer is full."""
        super().pause_writing()
        self.unread_answers.begin(self)

    def resume_writing(self) -> None:
        """Stop watching, unless the connection closes once everything has been read."""
        super().resume_writing()
        if not self.transport.is_closing():
            self.unread_answers.end(self)

    def _watch_unread(self) -> None:
        if self.unread_bytes:
            self.unread_answers.begin(self)

    @property
    def unread_bytes(self) -> int:
        """How many bytes wait in this process's write buffer."""
        return self.transport.get_write_buffer_size()

    @property
    def has_own_deadline(self) -> bool:
        """Whether an open stream has its own timeout for a client that does not read."""
        return self.on_lost is not None and not self.transport.is_closing()

    def abort(self, exchange: Exchange | None = None) -> None:
        """Close the connection immediately, and discard what has not been written of the response."""
        (exchange or self.cycle).disconnected = True
        self.transport.abort()

    def on_headers_complete(self) -> None:
        """Put this connection into the request's scope, where `connection_of` finds it."""
        self.scope["extensions"] = {_EXTENSION: self}  # pyright: ignore[reportGeneralTypeIssues]  # not in uvicorn's type
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the open stream."""
        super().connection_lost(exc)
        self.unread_answers.end(self)
        if self.on_lost is not None:
            self.on_lost()

    @property
    def is_closed(self) -> bool:
        return self.transport.is_closing()

    def write_chunk(self, chunk: bytes, *, may_wait: bool = False) -> bool:
        """Write a chunk from `encode_chunk` immediately; the response has started, and has no length.

        If it `may_wait`, it is written with the next one, at the latest in the event loop's next iteration.
        Return False if the connection is closed, or its write buffer is full.
        """
        write = self._corked.write_soon if may_wait else self._corked.write_now
        return not self.flow.write_paused and write(chunk)


def encode_chunk(body: bytes) -> bytes:
    """Return a part of a body in the chunked transfer coding, which uvicorn uses for bodies without length.

    https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding
    """
    return b"%x\r\n%b\r\n" % (len(body), body)


def decode_chunk(chunk: bytes) -> bytes:
    """Return the body that was passed to `encode_chunk`."""
    return chunk[chunk.index(b"\r\n") + 2 : -2]


def connection_of(scope: Scope) -> Connection:
    """Return the connection of a request."""
    return cast(Connection, scope["extensions"][_EXTENSION])


def connections_with(head_seconds: float, unread_answers: UnreadAnswers) -> type[Connection]:
    """Return the protocol class for uvicorn, with these limits."""
    attributes = {"within_seconds": head_seconds, "unread_answers": unread_answers}
    return type("Connection", (Connection,), attributes)

"""Connections as streams use them: written to without waiting, and watched for their end."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from server.http.heads import BoundedHeads
from server.http.unread_answers import UnreadAnswers

_EXTENSION = "messenger.connection"


class _Corked:
    """A transport that sends a response's head together with its body, which uvicorn writes one by one."""

    def __init__(self, transport: asyncio.Transport, closing: Callable[[], None]) -> None:
        self._transport = transport
        self._closing = closing
        self._written = b""
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        """Write, in a moment."""
        if self._written:
            self.write_now(data)
        else:
            self._written = data
            self._loop.call_soon(self._uncork)

    def write_now(self, data: bytes) -> None:
        """Write, together with what is left to be written."""
        data, self._written = self._written + data, b""
        self._transport.write(data)

    def _uncork(self) -> None:
        if self._written:
            self.write_now(b"")

    def close(self) -> None:
        """Close when all is written, and read."""
        self._uncork()
        self._transport.close()
        self._closing()

    def abort(self) -> None:
        """Close, and drop what has not been written."""
        self._written = b""
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        """Be the transport in everything else."""
        return getattr(self._transport, name)


class Connection(BoundedHeads):
    """uvicorn's protocol, which the response that it carries may reach, as an extension of its ASGI scope.

    https://asgi.readthedocs.io/en/latest/extensions.html
    """

    unread_answers: UnreadAnswers
    on_lost: Callable[[], None] | None = None
    """Called once when the client has gone."""
    on_half_closed: Callable[[], None] | None = None
    """Called once when the client sends nothing more."""
    is_half_closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a new connection."""
        super().connection_made(cast(asyncio.Transport, _Corked(transport, self._watch_unread)))

    def eof_received(self) -> bool:
        """Tell a stream that its client has closed its side."""
        self.is_half_closed = super().eof_received()
        if self.is_half_closed and self.on_half_closed is not None:
            self.on_half_closed()
        return self.is_half_closed

    def pause_writing(self) -> None:
        """Watch how the client reads: much waits for it."""
        super().pause_writing()
        self.unread_answers.begin(self)

    def resume_writing(self) -> None:
        """Stop watching, unless all has to be read before the connection closes."""
        super().resume_writing()
        if not self.transport.is_closing():
            self.unread_answers.end(self)

    def _watch_unread(self) -> None:
        if self.unread_bytes:
            self.unread_answers.begin(self)

    @property
    def unread_bytes(self) -> int:
        """How much has been written and not been read, as far as this process keeps it."""
        return self.transport.get_write_buffer_size()

    @property
    def has_own_deadline(self) -> bool:
        """Whether a stream, which is open, ends the connection when its client does not read."""
        return self.on_lost is not None and not self.transport.is_closing()

    def abort(self, cycle: RequestResponseCycle | None = None) -> None:
        """Close the connection now, in the middle of that answer; whatever waits to be written is dropped."""
        (cycle or self.cycle).disconnected = True
        self.transport.abort()

    def on_headers_complete(self) -> None:
        """Show ourselves to the application."""
        self.scope["extensions"] = {_EXTENSION: self}  # pyright: ignore[reportGeneralTypeIssues, reportArgumentType]  # of our own
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the stream that is open."""
        super().connection_lost(exc)
        self.unread_answers.end(self)
        if self.on_lost is not None:
            self.on_lost()

    @property
    def is_writable(self) -> bool:
        """Whether the client reads what it is sent: little waits to be read by it."""
        return not self.flow.write_paused and not self.transport.is_closing()

    @property
    def is_closed(self) -> bool:
        """Whether the client has gone."""
        return self.transport.is_closing()

    def write_chunk(self, chunk: bytes) -> None:
        """Write a chunk, as `encode_chunk` gives it, of a response that has begun and has no length."""
        cast(_Corked, self.transport).write_now(chunk)


def encode_chunk(body: bytes) -> bytes:
    """Return a part of a response's body as it is transferred, which is how uvicorn sends what has no length.

    https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding
    """
    return b"%x\r\n%b\r\n" % (len(body), body)


def decode_chunk(chunk: bytes) -> bytes:
    """Return what `encode_chunk` was given."""
    return chunk[chunk.index(b"\r\n") + 2 : -2]


def connection_of(scope: Scope) -> Connection:
    """Return the connection that a request has come on."""
    return cast(Connection, scope["extensions"][_EXTENSION])


def connections_with(head_seconds: float, unread_answers: UnreadAnswers) -> type[Connection]:
    """Return the protocol that waits so long for a request's head, and lets so much wait to be read."""
    attributes = {"within_seconds": head_seconds, "unread_answers": unread_answers}
    return type("Connection", (Connection,), attributes)

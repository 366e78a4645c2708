"""Connections as streams use them: written to without waiting, and watched for their end."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope

from server.heads import BoundedHeads

_EXTENSION = "messenger.connection"


class _Corked:
    """A transport that sends a response's head together with its body, which uvicorn writes one by one."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
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
        """Close when all is written."""
        self._uncork()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """Be the transport in everything else."""
        return getattr(self._transport, name)


class Connection(BoundedHeads):
    """uvicorn's protocol, which the response that it carries may reach, as an extension of its ASGI scope.

    https://asgi.readthedocs.io/en/latest/extensions.html
    """

    on_lost: Callable[[], None] | None = None
    """Called once when the client has gone."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a new connection."""
        super().connection_made(cast(asyncio.Transport, _Corked(transport)))

    def on_headers_complete(self) -> None:
        """Show ourselves to the application."""
        self.scope["extensions"] = {_EXTENSION: self}  # pyright: ignore[reportGeneralTypeIssues, reportArgumentType]  # of our own
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who has asked."""
        super().connection_lost(exc)
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


def connection_of(scope: Scope) -> Connection:
    """Return the connection that a request has come on."""
    return cast(Connection, scope["extensions"][_EXTENSION])


def connections_with(head_seconds: float) -> type[Connection]:
    """Return the protocol that waits so long for a request's head."""
    return type("Connection", (Connection,), {"within_seconds": head_seconds})

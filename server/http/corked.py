"""A transport that sends together what is written separately."""

import asyncio
from collections.abc import Callable
from typing import Any


class CorkedTransport:
    """A transport that sends a response's head and body together, which uvicorn writes separately."""

    __slots__ = (
        "_closing",
        "_loop",
        "_transport",
        "_write",
        "_written",
        "get_write_buffer_size",
        "is_closing",
    )

    def __init__(self, transport: asyncio.Transport, closing: Callable[[], None]) -> None:
        """Write to `transport`; call `closing` after it has begun to close."""
        self._transport = transport
        self._closing = closing
        self._written = b""
        self._loop = asyncio.get_running_loop()
        # Every request and event uses these, and `__getattr__` takes ten times as long.
        self._write = transport.write
        self.is_closing = transport.is_closing
        self.get_write_buffer_size = transport.get_write_buffer_size

    def write(self, data: bytes) -> None:
        """Write, together with what else is written in this iteration of the event loop."""
        if self._written:
            self.write_now(data)
        else:
            self._written = data
            self._loop.call_soon(self._uncork)

    def write_soon(self, data: bytes) -> bool:
        """Write at the end of this iteration of the event loop, or together with what is written before.

        Return False if the client has gone.
        """
        if not self._written:
            self._loop.call_soon(self._uncork)
        self._written += data
        return not self.is_closing()

    def write_now(self, data: bytes) -> bool:
        """Write immediately, after what is still buffered here; return False if the client has gone."""
        if self._written:
            data, self._written = self._written + data, b""
        if self.is_closing():
            return False
        self._write(data)
        return True

    def _uncork(self) -> None:
        if self._written:
            self.write_now(b"")

    def close(self) -> None:
        """Close after everything has been written and read."""
        self._uncork()
        self._transport.close()
        self._closing()

    def abort(self) -> None:
        """Close immediately, and discard what has not been written."""
        self._written = b""
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

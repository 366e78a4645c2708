"""Requests' heads, of which uvicorn would read any length."""

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.refusals import HttpRefusal
from server.responses import refusal_response

MAX_HEAD_BYTES = 64 * 1024


class HeadLimit:
    """Middleware that refuses a request with 431 when its head is over the limit."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, if its head is small enough."""
        size = len(scope["raw_path"]) + len(scope["query_string"])
        size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if size > MAX_HEAD_BYTES:
            refusal = HttpRefusal(
                431, "BAD_USER_INPUT", f"The head is over {MAX_HEAD_BYTES} bytes.", {"connection": "close"}
            )
            await refusal_response(refusal, scope["path"])(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol, which closes the connection of who sends a head without end."""

    _head_bytes = 0
    _in_head = False

    def on_message_begin(self) -> None:
        """Start to count."""
        super().on_message_begin()
        self._head_bytes, self._in_head = 0, True

    def on_headers_complete(self) -> None:
        """Count no more: the head has its end, and `HeadLimit` looks at it."""
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read on, until it is too much."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > 2 * MAX_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(
                    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
                    b"connection: close\r\ncontent-length: 0\r\n\r\n"
                )
                self.transport.close()

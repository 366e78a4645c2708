"""Limits on request heads: uvicorn limits neither their size nor how long they take to arrive.

The limits that keep parsing cheap apply while a head is parsed, the others once it is complete.
"""

import asyncio
from collections.abc import Awaitable
from itertools import chain
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send

from server.http.exchange import Exchange
from server.http.framing import MAX_HEAD_BYTES, BadRequest, FramedRequests
from server.http.refusals import HttpRefusal
from server.http.responses import refusal_response

MAX_HEADERS = 200
MAX_URL_BYTES = 16 * 1024
MAX_PATH_BYTES = 2048
MAX_PARAMETERS = 100
MAX_PIPELINED = 100

# So many bytes hold about two thousand headers, which take a millisecond to parse.
_PIECE_BYTES = 8 * 1024


class HeadLimit:
    """Middleware that rejects a larger head with 431, and a URL with more parameters with 400."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        headers = scope["headers"]
        query: bytes = scope["query_string"]
        size = len(scope["raw_path"]) + len(query)
        size += sum(map(len, chain.from_iterable(headers))) + 4 * len(headers)
        status, problem = 431, None
        if size > MAX_HEAD_BYTES:
            problem = f"The request's head is larger than {MAX_HEAD_BYTES} bytes."
        elif len(headers) > MAX_HEADERS:
            problem = f"The request has more than {MAX_HEADERS} headers."
        elif query and query.count(b"&") >= MAX_PARAMETERS:
            status, problem = 400, f"The URL has more than {MAX_PARAMETERS} parameters."
        if problem is not None:
            refusal = HttpRefusal(status, "BAD_USER_INPUT", problem, {"connection": "close"})
            return refusal_response(refusal, scope["path"])(scope, receive, send)
        return self._app(scope, receive, send)


class BoundedHeads(FramedRequests):
    """uvicorn's protocol, which closes a connection if a head is endless or does not arrive in time."""

    within_seconds: float = 30
    """How long a head may take, from its first byte, or from the start of the connection."""

    __slots__ = ("_head_bytes", "_waiting")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Stop waiting if the head is complete; `HeadLimit` checks its size.

        Raises:
            BadRequest: the URL is too long. uvicorn unquotes the path before anything can be counted.
        """
        if len(self.url) > MAX_PATH_BYTES:
            self._check_long_url()
        super().on_headers_complete()
        if not self._in_head:
            self._stop_waiting()

    def _check_long_url(self) -> None:
        if len(self.url) > MAX_URL_BYTES:
            raise BadRequest(b"414 URI Too Long", f"the URL has more than {MAX_URL_BYTES} bytes")
        if b"?" not in self.url[: MAX_PATH_BYTES + 1]:
            raise BadRequest(b"414 URI Too Long", f"the path has more than {MAX_PATH_BYTES} bytes")

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, a large part in pieces, so that too many headers are noticed early."""
        if len(data) > _PIECE_BYTES:
            for start in range(0, len(data), _PIECE_BYTES):
                self.data_received(data[start : start + _PIECE_BYTES])
            return
        super().data_received(data)
        if self._stopped or self.transport.is_closing():
            return
        if len(self.pipeline) > MAX_PIPELINED:
            self.reject(
                b"429 Too Many Requests", f"more than {MAX_PIPELINED} requests wait for their answers"
            )
            return
        if self._in_head:
            if len(self.headers) > MAX_HEADERS:
                self.reject(b"431 Request Header Fields Too Large", f"it has more than {MAX_HEADERS} headers")
                return
            self._head_bytes += len(data)
            if self._head_bytes > 2 * MAX_HEAD_BYTES:
                self.reject(b"431 Request Header Fields Too Large", "the head is too long")
                return
        # uvicorn closes idle connections, but considers this one busy now. There is no timeout while a
        # response is sent, as a stream may be open for hours.
        cycle = cast("Exchange | None", self.cycle)
        if cycle is None or cycle.response_complete:
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(self.within_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        if self._in_head:
            self.reject(b"408 Request Timeout", "the head took too long")
        else:
            self.transport.close()

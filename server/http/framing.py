"""HTTP/1.1 message framing: where each request on a connection ends.

If a server and a proxy disagree about that, one client's bytes are served as another client's request
(https://www.rfc-editor.org/rfc/rfc9112#name-request-smuggling). A request whose end is uncertain is therefore
rejected, its connection is closed, and nothing that follows it is read.

This file, exchange.py, idle_timeout.py, heads.py, connections.py, server/streams/response.py and
server/process/serving.py rely on these private parts of uvicorn. Its minor version is pinned, and
tests/server/http/test_private_parts.py checks each of them:

- `HttpToolsProtocol` parses with `parser`, which can be replaced, and calls `on_*` on itself.
- `on_header` appends to `headers`, which the scope holds.
- `on_headers_complete` completes the scope, makes `cycle` with these arguments, and starts `app` with
  `_start_asgi_task`, or appends it to `pipeline`. Here, `_start` does that, with an `Exchange` as the cycle.
- `pipeline` holds the requests that wait for earlier responses, with their applications, the newest first.
- The cycle calls `on_response_complete` after its response, which starts the next request in `pipeline`.
- `timeout_keep_alive_task` is the timer of an idle connection, and `_unset_keepalive_if_required` stops it.
- `cycle.keep_alive`, when false, closes the connection after the response.
- `cycle.default_headers` are in every response, before the headers of the application.
- `cycle.receive` returns and empties `cycle.body`, and clears `message_event`.
- `cycle.chunked_encoding` and `expected_content_length` decide how a response's body is written.
- `cycle.waiting_for_100_continue`, `more_body`, `response_started` and `response_complete` are its progress.
- `cycle.disconnected` with `message_event` ends a request without a response and without an error in the log.
- `Server.capture_signals` and `Server.startup` are called by `Server.serve`.
"""

import re
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from weakref import ref

import httptools
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from execution.answers import encode_json
from server.http.exchange import EXCHANGE, Exchange, exchange_of
from server.http.headers import first_headers
from server.http.idle_timeout import IdleTimeout
from server.http.lazy_event import LazyEvent

log = structlog.stdlib.get_logger(__name__)

MAX_HEAD_BYTES = 64 * 1024

BAD_REQUEST = b"400 Bad Request"

# A name or an address, and a port. Other characters begin or end other parts of a URL, or are ignored by some
# parsers: `evil.example@localhost` is read as either host.
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


class BadRequest(Exception):
    """A request is not valid or not supported; `status` is the code and phrase of the status line."""

    def __init__(self, status: bytes, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _NoMoreRequests(Exception):
    """A request follows one that was the last of its connection."""


class FramedRequests(IdleTimeout):
    """uvicorn's protocol, which ignores upgrades, and stops reading at a request whose end is uncertain."""

    __slots__ = ("_bytes_without_body", "_in_body", "_in_head", "_is_last", "_stopped")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = False
        self._in_body = False
        # Whether the current request, or the one read last, is the last one of this connection.
        self._is_last = False
        # Whether everything that arrives is discarded.
        self._stopped = False
        self._bytes_without_body = 0

    def data_received(self, data: bytes) -> None:
        if self._stopped:
            return
        self._unset_keepalive_if_required()
        self._bytes_without_body += len(data)
        try:
            self._parse(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._stopped = True
            cause = error.__context__
            if not isinstance(cause, _NoMoreRequests):
                self.reject(
                    cause.status if isinstance(cause, BadRequest) else BAD_REQUEST, str(cause or error)
                )
            return
        # The parser does not limit chunk extensions and trailers.
        if self._in_body and self._bytes_without_body > 2 * MAX_HEAD_BYTES:
            self.reject(b"431 Request Header Fields Too Large", "chunk extensions or trailers are too long")

    def _parse(self, data: bytes | memoryview) -> None:
        """Feed the parser, ignoring any offer of an upgrade.

        The parser assumes that an upgrade is accepted, and would take the body for the next request. So a new
        parser gets the same head without the offer, and then the rest of the data
        (https://www.rfc-editor.org/rfc/rfc9110#name-upgrade).
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = memoryview(data)[cast(int, upgrade.args[0]) :]
            else:
                return
            head = self._head_without_upgrade()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.parser.feed_data(head)

    def _head_without_upgrade(self) -> bytes:
        method, version = self.scope["method"], self.parser.get_http_version()
        lines = [b"%b %b HTTP/%b" % (method.encode(), self.url, version.encode())]
        lines += [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        if self._is_last:
            raise _NoMoreRequests
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Check the head, and start the application, which reads the body.

        Raises:
            BadRequest: the end or the host of the request is uncertain, or its method or version is not
                supported.
        """
        version, method = self.parser.get_http_version(), self.parser.get_method()
        if method == b"CONNECT":
            raise BadRequest(b"501 Not Implemented", "CONNECT is not supported")
        if version not in {"1.1", "1.0"}:
            raise BadRequest(b"505 HTTP Version Not Supported", f"HTTP/{version} is not supported")
        if self.parser.should_upgrade():
            # The parser stops here, and `_parse` continues without the offer.
            self.scope["method"] = method.decode("ascii")
            return
        self._check_headers(version)
        app = cast(ASGIApp, self.app)  # pyright: ignore[reportUnknownMemberType]  # uvicorn does not type it
        if version == "1.0":
            self.expect_100_continue = False
            app = _answer_without_chunks(app)
        elif self.expect_100_continue:
            app = _close_unless_continued(app)
        self._start(app, method, version)
        self._in_head, self._in_body, self._bytes_without_body = False, True, 0
        self._is_last = not self.cycle.keep_alive
        # uvicorn would append trailers to the headers of the request.
        self.headers = _Dropped()

    def _start(self, app: ASGIApp, method: bytes, version: str) -> None:
        """Start the application, once earlier responses are complete."""
        scope, url = self.scope, httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["method"] = method.decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        earlier = cast("Exchange | None", self.cycle)
        self.cycle = exchange = Exchange(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=LazyEvent(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        scope.setdefault("extensions", {})[EXCHANGE] = ref(exchange)  # pyright: ignore[reportArgumentType]  # not in uvicorn's type
        if earlier is None or earlier.response_complete:
            self._start_asgi_task(exchange, app)  # pyright: ignore[reportArgumentType]  # uvicorn's types of ASGI
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, app))  # pyright: ignore[reportArgumentType]  # uvicorn's types of ASGI

    def on_body(self, body: bytes) -> None:
        self._bytes_without_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request, unless its head is about to be parsed again without an upgrade."""
        if self._in_body:
            self._in_body = False
            super().on_message_complete()
            if not self._is_last and not self.parser.should_keep_alive():
                # A trailer contained `Connection: close`, and the parser does not read further requests.
                self.cycle.keep_alive = False
                self._is_last = True
                if self.cycle.response_complete:
                    self.transport.close()

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]  # asyncio's type
        """Keep a half-closed connection open until the requests that were received completely are answered.

        https://www.rfc-editor.org/rfc/rfc9112#name-tear-down
        """
        self._stopped = True
        cycle = cast("Exchange | None", self.cycle)
        if cycle is None or cycle.response_complete or self._in_body:
            return False
        cycle.keep_alive = False
        return True

    def reject(self, status: bytes, reason: str) -> None:
        """Reject a malformed request after the earlier ones are answered, and close the connection."""
        log.warning("malformed request rejected", status=status.decode(), reason=reason)
        self._stopped = self._is_last = True
        transferred, refusal = _refusal(status, reason)
        if not self._in_body:
            if not self._in_head:
                super().on_message_begin()
            self.url = b"/"
            self._start(refusal, self.parser.get_method(), self.parser.get_http_version())
        elif self.pipeline:
            # The application has not been started, and the request is the newest one waiting.
            self.pipeline[0] = (self.cycle, refusal)  # pyright: ignore[reportArgumentType]  # uvicorn's types of ASGI
        else:
            if not self.cycle.response_started:
                self.transport.write(transferred)
            # The application's own response would be written after this one.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.close()

    def _check_headers(self, version: str) -> None:
        """Require one Host and no other transfer coding than chunked; the target's authority replaces Host.

        https://www.rfc-editor.org/rfc/rfc9112#name-request-target
        """
        first = first_headers(cast(Scope, self.scope))
        host, coding = first.get(b"host"), first.get(b"transfer-encoding")
        if host is None and version == "1.1":
            raise BadRequest(BAD_REQUEST, "one Host header is required")
        if len(first) != len(self.headers):
            names = [name for name, _ in self.headers]
            if names.count(b"host") > 1:
                raise BadRequest(BAD_REQUEST, "one Host header is required")
            if coding is not None:
                coding = b",".join(value for name, value in self.headers if name == b"transfer-encoding")
        if host is not None and not _HOST.fullmatch(host):
            raise BadRequest(BAD_REQUEST, "the Host header is not a host and port")
        if coding is not None:
            if version == "1.0":
                raise BadRequest(BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding")
            if coding.strip().lower() != b"chunked":
                raise BadRequest(b"501 Not Implemented", "the only transfer coding is chunked")
        if self.url[:1] not in {b"/", b"*"}:
            authority = self._make_target_relative()
            if host is not None:
                self.headers[self.headers.index((b"host", host))] = (b"host", authority)
                first[b"host"] = authority

    def _make_target_relative(self) -> bytes:
        """Replace the absolute request target with its path and query, and return its authority."""
        try:
            target = urlsplit(self.url)
        except ValueError as error:
            raise BadRequest(BAD_REQUEST, "the request target is not a URL") from error
        if (
            target.scheme not in {b"http", b"https"}
            or not target.netloc
            or not _HOST.fullmatch(target.netloc)
        ):
            raise BadRequest(BAD_REQUEST, "the request target is not a path")
        self.url = (target.path or b"/") + (b"?" + target.query if target.query else b"")
        return target.netloc


class _Dropped(list[tuple[bytes, bytes]]):
    """A list that ignores what is appended."""

    def append(self, value: tuple[bytes, bytes], /) -> None:
        """Do nothing."""


def _refusal(status: bytes, reason: str) -> tuple[bytes, ASGIApp]:
    """Return the response to a malformed request, as bytes and as an application."""
    error = {"code": "BAD_USER_INPUT", "message": f"The request is not valid HTTP/1.1: {reason}."}
    body = encode_json({"error": error})
    headers = [
        (b"content-type", b"application/json"),
        (b"connection", b"close"),
        (b"content-length", b"%d" % len(body)),
    ]

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": int(status[:3]), "headers": headers})
        await send({"type": "http.response.body", "body": body})

    lines = [b"HTTP/1.1 " + status, *(b"%b: %b" % header for header in headers), b"", body]
    return b"\r\n".join(lines), refuse


def _close_unless_continued(app: ASGIApp) -> ASGIApp:
    """Close the connection after a response without `100 Continue`: the client may send the body or not.

    https://www.rfc-editor.org/rfc/rfc9110#name-expect
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        cycle = exchange_of(scope)

        async def send_noted(message: Message) -> None:
            if cycle.waiting_for_100_continue:
                cycle.keep_alive = False
            await send(message)

        await app(scope, receive, send_noted)

    return answer


def _answer_without_chunks(app: ASGIApp) -> ASGIApp:
    """Answer HTTP/1.0, which has no chunks, so the connection's end marks the end of a body without length.

    https://www.rfc-editor.org/rfc/rfc9112#name-transfer-encoding
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        cycle = exchange_of(scope)
        has_length = True

        async def send_plain(message: Message) -> None:
            nonlocal has_length
            if message["type"] == "http.response.start":
                has_length = any(name.lower() == b"content-length" for name, _ in message["headers"])
                if not has_length:
                    cycle.chunked_encoding = False
            elif not has_length:
                # uvicorn checks that the body has the expected length.
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_plain)

    return answer

"""The load generator's end of HTTP/1.1: as little work as possible for each call and each event."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

Address = tuple[str, int]

# How an event with an answer begins.
NEXT = b"event: next\n"

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Unexpected(Exception):
    """The server answered something else than what the bench measures."""


def request(method: str, path: str, headers: Mapping[str, str], body: object = None) -> bytes:
    """Return the bytes of a request, with `body` as JSON."""
    content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: localhost",
        *(f"{name}: {value}" for name, value in headers.items()),
        *(["content-type: application/json"] if content else []),
        f"content-length: {len(content)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Caller(asyncio.Protocol):
    """A keep-alive connection with at most one call under way."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or self._answer is None or self._answer.done():
            return
        length = _CONTENT_LENGTH.search(head)
        if length is None or not head.startswith(b"HTTP/1.1 200 "):
            self._answer.set_exception(Unexpected(self._received.decode()))
        elif len(body) >= int(length[1]):
            self._received = b""
            self._answer.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Unexpected(f"the connection was lost: {exc}"))

    async def call(self, request: bytes, marker: bytes) -> None:
        """Send a request and wait for its answer, a 200 with `marker` in it.

        Raises:
            Unexpected: it is something else.
        """
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        body = await self._answer
        if marker not in body:
            raise Unexpected(body.decode())

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class EventStream(asyncio.Protocol):
    """A response of Server-Sent Events; `on_events` gets one or more at a time, chunk sizes and all."""

    def __init__(self, request: bytes, on_events: Callable[[bytes], None]) -> None:
        self._request = request
        self._on_events = on_events
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self.live: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        # What is sent once the head has come is delivered.
        if not self.live.done():
            if data.startswith(b"HTTP/1.1 200 "):
                self.live.set_result(None)
            else:
                self.live.set_exception(Unexpected(data.decode()))
        received = self._rest + data
        end = received.rfind(b"\n\n") + 2
        # Without an end of an event in it, all of it is the rest.
        if end > 1:
            self._on_events(received[:end])
            self._rest = received[end:]
        else:
            self._rest = received

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.live.done():
            self.live.set_exception(Unexpected(f"the connection was lost: {exc}"))

    def close(self) -> None:
        """Go away, as a client does that has heard enough."""
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def calling(address: Address) -> AsyncGenerator[Caller]:
    """Yield a connection that is closed when the block ends."""
    _, caller = await asyncio.get_running_loop().create_connection(Caller, *address)
    try:
        yield caller
    finally:
        caller.close()


@asynccontextmanager
async def listening(
    address: Address, openings: Sequence[bytes], on_events: Callable[[bytes], None]
) -> AsyncGenerator[None]:
    """Keep a stream open for each of the requests; all are live when the block begins."""
    loop = asyncio.get_running_loop()
    streams: list[EventStream] = []
    try:
        for opening in openings:

            def stream(opening: bytes = opening) -> EventStream:
                return EventStream(opening, on_events)

            _, opened = await loop.create_connection(stream, *address)
            streams.append(opened)
        for opened in streams:
            await opened.live
        yield
    finally:
        for opened in streams:
            opened.close()
        # The server lets go of them before anything else is measured.
        await asyncio.sleep(0.2)

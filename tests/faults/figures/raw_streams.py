"""Streams over plain sockets: a subscriber that uses few resources and can stop reading."""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import cast

_SUBSCRIPTION = "subscription { messageCreated(includeMine: true) { cursor message { id content } } }"


def request(token: str) -> bytes:
    """Return the bytes of a subscription request."""
    body = json.dumps({"query": _SUBSCRIPTION}).encode()
    head = (
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Accept: text/event-stream\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class RawStream(asyncio.Protocol):
    """Counts the events it receives."""

    def __init__(self, token: str, on_event: Callable[[int], None] = lambda count: None) -> None:
        self._request = request(token)
        self._on_event = on_event
        self._tail = b""
        self.live = asyncio.Event()
        self.events = 0
        self.lost = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not instances of `asyncio.Transport`.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.live.is_set():
            assert data.startswith(b"HTTP/1.1 200"), data
            self.live.set()
        # An event's first line can be split between two reads.
        text = self._tail + data
        count = text.count(b"event: next")
        self._tail = text[-10:]
        if count:
            self.events += count
            self._on_event(count)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def stop_reading(self) -> None:
        assert self.transport is not None
        self.transport.pause_reading()


async def open_stream(
    port: int,
    token: str,
    *,
    source: str = "127.0.0.1",
    on_event: Callable[[int], None] = lambda count: None,
    receive_buffer: int | None = None,
) -> RawStream:
    """Subscribe, and return once the stream is live."""
    connection = socket.socket()
    connection.setblocking(False)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.bind((source, 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    _, stream = await loop.create_connection(lambda: RawStream(token, on_event), sock=connection)
    await stream.live.wait()
    return stream

"""The load generator's HTTP/1.1 client, with as little work per call and per event as possible."""

import asyncio
import json
import re
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from typing import cast

from bench.waiting import Trouble

Address = tuple[str, int]

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# Servers close a connection that has been idle for five seconds, possibly while a request is in transit.
_KEPT_SECONDS = 3
# A Linux socket option that Python names only from 3.12 on.
_IP_BIND_ADDRESS_NO_PORT = 24
# The number of streams from each loopback address, since each stream takes a port.
_STREAMS_OF_AN_ADDRESS = 5_000
_OPENED_AT_ONCE = 64
# The delay before each retry after a 503.
_COME_AGAIN_SECONDS = (1, 1, 2, 4, 8)


class Unexpected(Exception):
    """The server answered with something other than the expected response."""


def request(method: str, path: str, headers: Mapping[str, str], body: object = None) -> bytes:
    """Return the bytes of a request, with `body` encoded as JSON."""
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
    """A keep-alive connection with at most one call in progress."""

    def __init__(
        self,
        address: Address,
        requests: Sequence[bytes],
        answered: Callable[["Caller"], None],
        trouble: Trouble,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Send one request for each `call`, in turn; `answered` is called after each successful answer."""
        self._address = address
        self._requests: Iterator[bytes] = cycle(requests)
        self._answered = answered
        self._trouble = trouble
        self._tasks = tasks
        self._received: bytes = b""
        self._transport: asyncio.Transport | None = None
        self._is_waiting = False
        self._answered_at = time.monotonic()
        self._given_up: asyncio.Future[None] | None = None

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, *self._address)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def call(self, fill_in: Callable[[bytes], bytes] | None = None) -> None:
        """Send the next request; `fill_in` may change its content."""
        content = next(self._requests)
        if fill_in is not None:
            content = fill_in(content)
        self._is_waiting = True
        if self._transport is None or time.monotonic() - self._answered_at > _KEPT_SECONDS:
            self._tasks.create_task(self._call_again(content))
        else:
            self._transport.write(content)

    async def _call_again(self, content: bytes) -> None:
        if self._transport is not None:
            self._given_up = asyncio.get_running_loop().create_future()
            self._transport.abort()
            await self._given_up
        await self.connect()
        assert self._transport is not None
        self._transport.write(content)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0:
            self._received = received
            return
        length = _CONTENT_LENGTH.search(received, 0, head_end)
        if length is not None and len(received) < head_end + 4 + int(length[1]):
            self._received = received
            return
        self._received = b""
        # Every answer that is measured contains a creation time, or a picture if it is about a user alone.
        good = length is not None and received.startswith(b"HTTP/1.1 200 ")
        good = good and (b'"createdAt"' in received or b'"avatarUrl"' in received)
        if not good or b'"errors"' in received:
            self._trouble.report(Unexpected(received.decode()))
            return
        self._is_waiting = False
        self._answered_at = time.monotonic()
        self._answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._given_up is not None:
            self._given_up.set_result(None)
            self._given_up = None
        elif self._is_waiting:
            self._trouble.report(Unexpected(f"a connection was lost: {exc}"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Stream(asyncio.Protocol):
    """A response of Server-Sent Events; `on_data` receives the data after the head as it arrives."""

    def __init__(self, opening: bytes, on_data: Callable[["Stream", bytes], None], trouble: Trouble) -> None:
        self.opening = opening
        self._on_data = on_data
        self._trouble = trouble
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Whether it is open: False when the server is too busy, which asks to come again later."""
        self._is_live = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self.opening)

    def data_received(self, data: bytes) -> None:
        if self._is_live:
            self._on_data(self, data)
        elif data.startswith(b"HTTP/1.1 200 "):
            # Data after the response head is passed to `on_data`.
            self._is_live = True
            self.opened.set_result(True)
            self._on_data(self, data)
        elif data.startswith(b"HTTP/1.1 503 "):
            self.opened.set_result(False)
            self.cut()
        else:
            self._trouble.report(Unexpected(data.decode()))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_live or not self.opened.done():
            self._trouble.report(Unexpected(f"a stream was lost: {exc}"))

    def cut(self) -> None:
        """Abort the connection."""
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def calling(
    address: Address,
    callers: Sequence[Sequence[bytes]],
    answered: Callable[[Caller], None],
    trouble: Trouble,
) -> AsyncGenerator[Sequence[Caller]]:
    """Yield a connection for each sequence of requests, closed when the block ends."""
    async with asyncio.TaskGroup() as tasks:
        connected = [Caller(address, requests, answered, trouble, tasks) for requests in callers]
        try:
            for caller in connected:
                await caller.connect()
            yield connected
        finally:
            trouble.is_over = True
            for caller in connected:
                caller.close()


class Streams:
    """Open streams, and those that have been cut."""

    def __init__(self, address: Address, on_data: Callable[[Stream, bytes], None], trouble: Trouble) -> None:
        """Start without any stream."""
        self._address = address
        self._on_data = on_data
        self._trouble = trouble
        self.open: list[Stream] = []

    async def add(self, openings: Sequence[bytes]) -> None:
        """Open a stream for each of the requests; all are live when this returns."""
        room = asyncio.Semaphore(_OPENED_AT_ONCE)
        loop = asyncio.get_running_loop()
        already = len(self.open)

        async def add_one(number: int, opening: bytes) -> None:
            host = f"127.0.0.{2 + number // _STREAMS_OF_AN_ADDRESS}"
            async with room:
                for wait_seconds in _COME_AGAIN_SECONDS:
                    _, stream = await loop.create_connection(
                        lambda: Stream(opening, self._on_data, self._trouble),
                        sock=await self._connected_from(host),
                    )
                    if await self._trouble.wait_for(stream.opened):
                        self.open.append(stream)
                        return
                    await self._trouble.sleep(wait_seconds)
            raise Unexpected("the server is too busy to open a stream")

        async with asyncio.TaskGroup() as group:
            for number, opening in enumerate(openings, already):
                group.create_task(add_one(number, opening))

    async def _connected_from(self, host: str) -> socket.socket:
        connecting = socket.socket()
        try:
            connecting.setblocking(False)
            # If the kernel chose the port here, it would search through thousands that are in use.
            if sys.platform == "linux":
                connecting.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            connecting.bind((host, 0))
            await asyncio.get_running_loop().sock_connect(connecting, self._address)
        except BaseException:
            connecting.close()
            raise
        return connecting

    def cut(self) -> None:
        """Abort all streams at once."""
        self._trouble.is_over = True
        for stream in self.open:
            stream.cut()
        self.open.clear()

"""The floor below the bare application: the same service on plain sockets, without ASGI and HTTP parsing.

It takes each received chunk for one whole request, so it is not a real server. It shows how much load the
load generator can produce.
"""

import asyncio
from collections import defaultdict
from typing import cast

import uvloop

from bench.bare_asgi import ANSWER
from bench.processes import announce, listening_socket

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%s\r\n\r\n"
_ANSWER = _HEAD % (b"application/json", b"content-length: %d" % len(ANSWER)) + ANSWER
_STREAM = _HEAD % (b"text/event-stream", b"transfer-encoding: chunked") + b"3\r\n:\n\n\r\n"


class Connection(asyncio.Protocol):
    """A client's connection: a stream after a GET, otherwise a caller."""

    def __init__(self, streams: defaultdict[bytes, set[asyncio.Transport]]) -> None:
        self._streams = streams

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._path = b""

    def data_received(self, data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        method, path, _ = head.split(b" ", 2)
        if method == b"GET":
            self._path = path
            self._streams[path].add(self._transport)
            self._transport.write(_STREAM)
            return
        event = b"event: next\ndata: " + body + b"\n\n"
        chunk = b"%x\r\n" % len(event) + event + b"\r\n"
        for stream in self._streams.get(path, ()):
            stream.write(chunk)
        self._transport.write(_ANSWER)

    def connection_lost(self, exc: Exception | None) -> None:
        self._streams[self._path].discard(self._transport)


async def _serve() -> None:
    listening = listening_socket()
    streams: defaultdict[bytes, set[asyncio.Transport]] = defaultdict(set)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(streams), sock=listening, backlog=2048
    )
    announce(listening)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())

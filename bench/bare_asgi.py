"""The floor below delivery: an ASGI application that only forwards what is posted to it.

A body posted to a path goes out as an event on every stream that is open on that path. The event is built
once and written to each stream. uvicorn runs the application with the messenger's own options.
"""

import asyncio
from collections import defaultdict

import uvicorn
import uvloop
from starlette.types import Message, Receive, Scope, Send

from bench.processes import announce, listening_socket

# Every successful answer that the benchmark measures contains this.
ANSWER = b'{"data":{"createdAt":null}}'

_JSON_HEAD: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))],
}
_STREAM_HEAD: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream")],
}


class BareApplication:
    """Streams by path, and the requests that write to them."""

    def __init__(self) -> None:
        self._streams: defaultdict[str, set[Send]] = defaultdict(set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open a stream for a GET; forward the body of a POST."""
        streams = self._streams[scope["path"]]
        if scope["method"] == "GET":
            await send(_STREAM_HEAD)
            await send(_part(b":\n\n"))
            streams.add(send)
            while (await receive())["type"] != "http.disconnect":
                pass
            streams.discard(send)
            return
        event = _part(b"event: next\ndata: " + await _body(receive) + b"\n\n")
        for send_to_stream in list(streams):
            await send_to_stream(event)
        await send(_JSON_HEAD)
        await send({"type": "http.response.body", "body": ANSWER})


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _serve() -> None:
    listening = listening_socket()
    # The same options as in server/process/serving.py.
    config = uvicorn.Config(
        BareApplication(),
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    announce(listening)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve([listening]))


if __name__ == "__main__":
    _serve()

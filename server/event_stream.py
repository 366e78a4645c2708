"""Server-Sent Events as graphql-sse's distinct connections mode writes them.

https://html.spec.whatwg.org/multipage/server-sent-events.html and
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio

from starlette.types import Receive, Send

from schema.answers import Answer
from server.responses import encode_json
from server.streams import EndReason, OpenStream

# What a client that returns after `complete` hands back as its last event id. An EventSource connects again
# whenever its response ends, and stops for good when it is answered 204.
OVER = "complete"

# Browsers dispatch no event without a line of data.
COMPLETE_EVENT = f"event: complete\nid: {OVER}\ndata:\n\n".encode()

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    # Has nginx pass events on as they come.
    "x-accel-buffering": "no",
}


def next_event(answer: Answer, event_id: str | None = None) -> bytes:
    """Return an answer as an event."""
    place = b"" if event_id is None else f"id: {event_id}\n".encode()
    return b"event: next\n" + place + b"data: " + encode_json(answer) + b"\n\n"


class SlowReader(Exception):
    """The client has not read for as long as a write may wait."""


class SseStream:
    """A subscription's events on their way to one client.

    The head goes out with the first thing there is to say: that the subscription is live, or an event.
    """

    def __init__(self, send: Send, write_timeout_seconds: float) -> None:
        """Write with ASGI's `send`, each time within the timeout."""
        self._send = send
        self._write_timeout_seconds = write_timeout_seconds
        self.begun = False
        """Whether the head has gone out."""
        self._cursor: str | None = None

    async def begin(self, cursor: str) -> None:
        """Send the head, and where the stream starts: a browser that loses it now resumes from there."""
        await self._write(f"id: {cursor}\n\n".encode())

    def reach(self, cursor: str) -> None:
        """Make `cursor` the id of the next event."""
        self._cursor = cursor

    async def next(self, answer: Answer) -> None:
        """Send an answer as an event."""
        await self._write(next_event(answer, self._cursor))

    async def complete(self) -> None:
        """Send that the operation is over: the client does not come back."""
        await self._write(COMPLETE_EVENT)

    async def finish(self) -> None:
        """End the response. Without `complete` before it, the client connects again."""
        await self._write(b"", more=False)

    async def keep_alive(self, receive: Receive, stream: OpenStream, every_seconds: float) -> None:
        """Send a comment every so often, and end the stream when the client goes away."""
        while True:
            try:
                async with asyncio.timeout(every_seconds):
                    while (await receive())["type"] != "http.disconnect":
                        pass
            except TimeoutError:
                if self.begun:
                    await self._heartbeat(stream)
            else:
                stream.end(EndReason.CLIENT_GONE)
                return

    async def _heartbeat(self, stream: OpenStream) -> None:
        try:
            await self._write(b":\n\n")
        except SlowReader:
            stream.end(EndReason.SLOW_READER)

    async def _write(self, chunk: bytes, *, more: bool = True) -> None:
        try:
            async with asyncio.timeout(self._write_timeout_seconds):
                if not self.begun:
                    self.begun = True
                    head = [(name.encode(), value.encode()) for name, value in STREAM_HEADERS.items()]
                    await self._send({"type": "http.response.start", "status": 200, "headers": head})
                await self._send({"type": "http.response.body", "body": chunk, "more_body": more})
        except TimeoutError as error:
            raise SlowReader from error

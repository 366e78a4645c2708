"""Responses that go on: events as they come, signs of life in between, and an end that says what it means."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.types import Receive, Send

from schema.answers import Answer
from server.identity import Identity
from server.streams import EndReason, OpenStream, OpenStreams


class StreamFormat(Protocol):
    """How a stream is written."""

    headers: Mapping[str, str]
    heartbeat: bytes
    complete: bytes

    def begin(self, cursor: str) -> bytes:
        """Return what comes first; the stream starts at that cursor."""
        ...

    def next(self, answer: Answer, cursor: str | None) -> bytes:
        """Return an answer as an event, which stands at that cursor."""
        ...


class SlowReader(Exception):
    """The client has not read for as long as a write may wait."""


class ResponseStream:
    """A response on its way to one client, written with a time limit.

    The head goes out with the first thing there is to say.
    """

    def __init__(self, send: Send, stream_format: StreamFormat, write_timeout_seconds: float) -> None:
        """Write with ASGI's `send`, each time within the timeout."""
        self._send = send
        self._format = stream_format
        self._write_timeout_seconds = write_timeout_seconds
        self._cursor: str | None = None
        self.begun = False
        """Whether the head has gone out."""

    async def begin(self, cursor: str) -> None:
        """Send the head, and where the stream starts."""
        await self.write(self._format.begin(cursor))

    def reach(self, cursor: str) -> None:
        """Have the next event stand at `cursor`."""
        self._cursor = cursor

    async def next(self, answer: Answer) -> None:
        """Send an answer as an event."""
        await self.write(self._format.next(answer, self._cursor))

    async def complete(self) -> None:
        """Send that the operation is over: the client does not come back."""
        await self.write(self._format.complete)

    async def finish(self) -> None:
        """End the response. Without `complete` before it, the client connects again."""
        await self.write(b"", more=False)

    async def write(self, chunk: bytes, *, more: bool = True) -> None:
        """Send a whole event.

        Raises:
            SlowReader: the client does not read.
        """
        try:
            async with asyncio.timeout(self._write_timeout_seconds):
                if not self.begun:
                    self.begun = True
                    head = [(name.encode(), value.encode()) for name, value in self._format.headers.items()]
                    await self._send({"type": "http.response.start", "status": 200, "headers": head})
                await self._send({"type": "http.response.body", "body": chunk, "more_body": more})
        except TimeoutError as error:
            raise SlowReader from error

    async def hold_open(
        self,
        *,
        streams: OpenStreams,
        identity: Identity,
        address: str | None,
        receive: Receive,
        heartbeat_seconds: float,
        send_events: Callable[[OpenStream], Awaitable[None]],
        say_session_ended: Callable[[], Awaitable[None]],
    ) -> EndReason:
        """Send events until there are no more, or until the stream is asked to end; return why it is over.

        It ends when the client goes away or does not read, when its session ends, which
        `say_session_ended` tells the client, and when the server stops.
        """
        with streams.opened(identity, address) as stream:
            async with asyncio.TaskGroup() as tasks:
                keeping_alive = tasks.create_task(self._keep_alive(receive, stream, heartbeat_seconds))
                try:
                    with stream.interruptible():
                        await send_events(stream)
                    if stream.end_reason is EndReason.SESSION_ENDED:
                        await say_session_ended()
                    if self.begun and stream.end_reason is not EndReason.CLIENT_GONE:
                        await self.finish()
                except SlowReader:
                    stream.end_reason = EndReason.SLOW_READER
                keeping_alive.cancel()
            return stream.end_reason or EndReason.COMPLETE

    async def _keep_alive(self, receive: Receive, stream: OpenStream, every_seconds: float) -> None:
        """Send a sign of life every so often, and end the stream when the client goes away."""
        while True:
            try:
                async with asyncio.timeout(every_seconds):
                    while (await receive())["type"] != "http.disconnect":
                        pass
            except TimeoutError:
                if self.begun:
                    await self._send_heartbeat(stream)
            else:
                stream.end(EndReason.CLIENT_GONE)
                return

    async def _send_heartbeat(self, stream: OpenStream) -> None:
        try:
            await self.write(self._format.heartbeat)
        except SlowReader:
            stream.end(EndReason.SLOW_READER)

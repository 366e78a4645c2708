"""Responses that go on: events as they come, signs of life in between, and an end that says what it means."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Hashable, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Protocol

from starlette.types import Send

from schema.answers import Answer
from server.connections import Connection, encode_chunk
from server.identity import Identity
from server.shared_events import SharedEvent, SharedEvents
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

    def __init__(
        self,
        send: Send,
        *,
        connection: Connection,
        stream_format: StreamFormat,
        write_timeout_seconds: float,
        shared: SharedEvents,
        sharing_key: Hashable,
    ) -> None:
        """Write on the connection, each time within the timeout; share events with those of the same key."""
        self._send = send
        self._connection = connection
        self._format = stream_format
        self._write_timeout_seconds = write_timeout_seconds
        self._place: tuple[int, str] | None = None
        self._unread_since: float | None = None
        self.sharing = shared.stream(sharing_key, self.write_at_once)
        self.begun = False
        """Whether the head has gone out."""

    async def begin(self, cursor: str) -> None:
        """Send the head, and where the stream starts, unless it has begun before."""
        if not self.begun:
            self.sharing.cursor = cursor
            await self.write(self._format.begin(cursor))

    def reach(self, position: int, cursor: str) -> None:
        """Have the next event stand there."""
        self._place = (position, cursor)

    def caught_up(self, position: int) -> None:
        """Have the stream share what is to come.

        Raises:
            CanListen: another one executes it.
        """
        self.sharing.caught_up(position)

    async def next(self, answer: Answer) -> None:
        """Send an answer as an event."""
        place, self._place = self._place, None
        event = self._format.next(answer, place[1] if place else None)
        if place is not None:
            self.sharing.hand_on(SharedEvent(*place, encode_chunk(event)))
        await self.write(event)

    async def complete(self) -> None:
        """Send that the operation is over: the client does not come back."""
        await self.write(self._format.complete)

    async def finish(self) -> None:
        """End the response. Without `complete` before it, the client connects again."""
        await self._write_in_time(b"", more=False)

    async def write(self, event: bytes) -> None:
        """Send a whole event.

        Raises:
            SlowReader: the client does not read.
        """
        if not self.write_at_once(encode_chunk(event)):
            # Nobody else waits for our client.
            self.sharing.lead_no_more()
            await self._write_in_time(event, more=True)

    def write_at_once(self, chunk: bytes) -> bool:
        """Write a chunk if the response has begun and its client reads; say whether it has been written."""
        if not self.begun or not self._connection.is_writable:
            return False
        self._connection.write_chunk(chunk)
        return True

    async def _write_in_time(self, body: bytes, *, more: bool) -> None:
        try:
            async with asyncio.timeout(self._write_timeout_seconds):
                if not self.begun:
                    self.begun = True
                    head = [(name.encode(), value.encode()) for name, value in self._format.headers.items()]
                    await self._send({"type": "http.response.start", "status": 200, "headers": head})
                await self._send({"type": "http.response.body", "body": body, "more_body": more})
        except TimeoutError as error:
            raise SlowReader from error

    async def hold_open(
        self,
        *,
        streams: OpenStreams,
        identity: Identity,
        address: str | None,
        send_events: Callable[[OpenStream], Awaitable[None]],
        say_session_ended: Callable[[], Awaitable[None]],
    ) -> EndReason:
        """Send events until there are no more, or until the stream is asked to end; return why it is over.

        It ends when the client goes away or does not read, when its session ends, which
        `say_session_ended` tells the client, and when the server stops.
        """
        with (
            streams.opened(identity, address) as stream,
            self._watching(stream),
            streams.heartbeats.beating(partial(self._beat, stream)),
        ):
            try:
                with stream.interruptible():
                    await send_events(stream)
                if stream.end_reason is EndReason.SESSION_ENDED:
                    await say_session_ended()
                if self.begun and stream.end_reason is not EndReason.CLIENT_GONE:
                    await self.finish()
            except SlowReader:
                stream.end_reason = EndReason.SLOW_READER
            return stream.end_reason or EndReason.COMPLETE

    @contextmanager
    def _watching(self, stream: OpenStream) -> Generator[None]:
        """End the stream when the client goes away."""
        self._connection.on_lost = partial(stream.end, EndReason.CLIENT_GONE)
        if self._connection.is_closed:
            stream.end(EndReason.CLIENT_GONE)
        try:
            yield
        finally:
            self._connection.on_lost = None
            self.sharing.lead_no_more()

    def _beat(self, stream: OpenStream) -> None:
        """Send a sign of life, or end the stream whose client has long not read."""
        now = asyncio.get_running_loop().time()
        if not self.begun or self.write_at_once(self._heartbeat):
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since >= self._write_timeout_seconds:
            stream.end(EndReason.SLOW_READER)

    @cached_property
    def _heartbeat(self) -> bytes:
        return encode_chunk(self._format.heartbeat)

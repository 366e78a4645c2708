"""Streaming responses: events as they come, heartbeats between them, and an end with a reason."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from starlette.types import Scope, Send

from execution.answers import Answer
from server.auth.authentication import Identity
from server.http.connections import connection_of, decode_chunk, encode_chunk
from server.http.exchange import exchange_of
from server.http.headers import forget_first_headers
from server.http.request_log import IS_STREAM
from server.streams.open_streams import EndReason, OpenStream, OpenStreams


class StreamFormat(Protocol):
    """The format of a stream."""

    headers: Mapping[str, str]
    heartbeat: bytes
    complete: bytes

    def begin(self, cursor: str) -> bytes:
        """Return the first bytes of a stream that starts at that cursor."""
        ...

    def next(self, answer: Answer, cursor: str | None) -> bytes:
        """Return an answer as an event with that cursor."""
        ...


class Sender(Protocol):
    """Sends the events of a stream."""

    async def send_events(self, stream: OpenStream) -> None:
        """Send events until there are no more, or the task is cancelled."""
        ...

    async def send_session_ended(self) -> None:
        """Tell the client that its session has ended."""
        ...


# How many seconds after a client has closed its side it is written to, to find out whether it still reads.
_PROBE_SECONDS = (0.0, 0.2, 1.0, 3.0)


class SlowReader(Exception):
    """The client has not read within the write timeout."""


class ResponseStream:
    """A streaming response to one client, with a time limit for each write.

    The head is sent together with the first event.
    """

    __slots__ = (
        "_connection",
        "_cycle",
        "_more_headers",
        "_open",
        "_send",
        "_state",
        "_unread_since",
        "_write_timeout_seconds",
        "begun",
        "format",
    )

    def __init__(
        self,
        scope: Scope,
        send: Send,
        *,
        stream_format: StreamFormat,
        write_timeout_seconds: float,
        more_headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """Respond to the scope's request; `more_headers` follow the headers of the format."""
        forget_first_headers(scope)
        self._send = send
        self._more_headers = more_headers
        self._connection = connection_of(scope)
        self._cycle = exchange_of(scope)
        self._state = scope["state"]
        self.format = stream_format
        self._write_timeout_seconds = write_timeout_seconds
        self._unread_since: float | None = None
        self._open: OpenStream | None = None
        self.begun = False
        """Whether the head has been sent."""

    async def complete(self) -> None:
        """Tell the client that the operation is over, so that it does not reconnect."""
        await self.write(self.format.complete)

    async def finish(self) -> None:
        """End the response. Without `complete` before it, the client reconnects."""
        await self.write_in_time(b"", more=False)

    async def write(self, event: bytes) -> None:
        """Send a whole event.

        Raises:
            SlowReader: the client does not read.
        """
        if not self.write_at_once(encode_chunk(event)):
            await self.write_in_time(event)

    def write_at_once(self, chunk: bytes, *, may_wait: bool = False) -> bool:
        """Write a chunk if the response has begun and the client reads; return whether it was written.

        If it `may_wait`, an event that follows immediately is sent together with it.
        """
        if not self.begun:
            return False
        # HTTP/1.0 has no chunks.
        chunk = chunk if self._cycle.chunked_encoding else decode_chunk(chunk)
        return self._connection.write_chunk(chunk, may_wait=may_wait)

    async def write_in_time(self, body: bytes, *, more: bool = True) -> None:
        """Write a part of the body as soon as the client reads; the last part has no `more` to come.

        Raises:
            SlowReader: the client does not read.
        """
        try:
            async with asyncio.timeout(self._write_timeout_seconds):
                is_first = not self.begun
                if is_first:
                    await self._begin()
                if not more or not self.write_at_once(encode_chunk(body), may_wait=is_first):
                    await self._send({"type": "http.response.body", "body": body, "more_body": more})
        except TimeoutError as error:
            raise SlowReader from error

    async def _begin(self) -> None:
        self.begun = True
        head = [(name.encode(), value.encode()) for name, value in self.format.headers.items()]
        head.extend(self._more_headers)
        await self._send({"type": "http.response.start", "status": 200, "headers": head})

    async def hold_open(
        self, sender: Sender, *, streams: OpenStreams, identity: Identity, address: str | None
    ) -> EndReason:
        """Have events sent until there are no more, or the stream is asked to end; return the reason.

        It ends when the client disconnects or stops reading, its session ends, or the server stops.
        """
        stream = self._open = streams.open(identity, address)
        self._state[IS_STREAM] = True
        self._connection.on_lost = self._client_gone
        self._connection.on_half_closed = self._probe
        streams.heartbeats.begin(self)
        try:
            if self._connection.is_closed:
                self._client_gone()
            elif self._connection.is_half_closed:
                self._probe()
            with stream.interruptible():
                await sender.send_events(stream)
            if stream.end_reason is EndReason.SESSION_ENDED:
                await sender.send_session_ended()
            if self.begun and stream.end_reason not in {EndReason.CLIENT_GONE, EndReason.SLOW_READER}:
                await self.finish()
        except SlowReader:
            stream.end_reason = EndReason.SLOW_READER
        finally:
            streams.heartbeats.end(self)
            self._open = self._connection.on_lost = self._connection.on_half_closed = None
            streams.close(stream)
        if stream.end_reason is EndReason.SLOW_READER:
            # Drops what the client has not read.
            self._connection.abort(self._cycle)
        return stream.end_reason or EndReason.COMPLETE

    def _client_gone(self) -> None:
        if self._open is not None:
            self._open.end(EndReason.CLIENT_GONE)

    def _probe(self) -> None:
        """Find out whether a client that has closed its side of the connection still reads.

        If it has closed the connection altogether, it answers with a reset.
        """
        loop = asyncio.get_running_loop()
        for seconds in _PROBE_SECONDS:
            loop.call_later(seconds, self.beat)

    def beat(self) -> None:
        """Send a heartbeat, or end the stream if the client has not read within the write timeout."""
        if self._open is None:
            return
        now = asyncio.get_running_loop().time()
        if not self.begun or self.write_at_once(encode_chunk(self.format.heartbeat)):
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since >= self._write_timeout_seconds:
            self._open.end(EndReason.SLOW_READER)

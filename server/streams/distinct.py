"""The stream of one operation: distinct connections mode, and Apollo's multipart subscriptions."""

from db.engine import DatabaseUnavailable
from execution.answers import Answer
from execution.api import Operation
from execution.budgets import Budget
from server.auth.authentication import Identity
from server.graphql.execution import Execution, session_ended
from server.http.connections import decode_chunk, encode_chunk
from server.http.refusals import cannot_answer_now
from server.streams.open_streams import EndReason, OpenStream, OpenStreams
from server.streams.operation import OperationStream
from server.streams.response import ResponseStream


class DistinctStream(OperationStream):
    """A response that consists of the events of one operation."""

    __slots__ = ("_address", "_last_event_id", "_response")

    def __init__(
        self,
        execution: Execution,
        identity: Identity,
        operation: Operation,
        response: ResponseStream,
        *,
        budget: Budget,
        streams: OpenStreams,
        address: str | None,
        last_event_id: str | None,
    ) -> None:
        """Execute the operation for the identity that opened the stream, and send its events."""
        super().__init__(
            execution,
            identity,
            operation,
            budget=budget,
            shared=streams.shared,
            encoding=type(response.format),
        )
        self._response = response
        self._address = address
        self._last_event_id = last_event_id

    async def serve(self, streams: OpenStreams) -> None:
        """Serve the stream until it is over.

        Raises:
            HttpRefusal: the stream has not begun, because too many are open or the server stops.
        """
        if streams.closing:
            raise cannot_answer_now()
        reason = await self._response.hold_open(
            self, streams=streams, identity=self._identity, address=self._address
        )
        if not self._response.begun and reason is not EndReason.CLIENT_GONE:
            raise cannot_answer_now()

    async def send_events(self, stream: OpenStream) -> None:
        """Send events until the operation is over."""
        try:
            await self.execute(last_event_id=self._last_event_id)
        except DatabaseUnavailable:
            # Without `complete`, the client reconnects.
            stream.end_reason = EndReason.UNAVAILABLE
        else:
            await self._response.complete()

    async def send_session_ended(self) -> None:
        """Tell the client that its session has ended, and complete: it must not reconnect."""
        await self.next(session_ended())
        await self._response.complete()

    async def begin(self, cursor: str) -> None:
        """Send the head and the cursor at which the stream starts, unless they have been sent."""
        if not self._response.begun:
            await self._response.write(self._response.format.begin(cursor))

    def encode(self, answer: Answer, cursor: str | None) -> bytes:
        """Return an answer as a chunk of the response."""
        return encode_chunk(self._response.format.next(answer, cursor))

    def write_at_once(self, chunk: bytes) -> bool:
        """Write a chunk if the response has begun and its client reads; say whether it has been written."""
        return self._response.write_at_once(chunk)

    async def write_in_time(self, chunk: bytes) -> None:
        """Write a chunk as soon as the client reads.

        Raises:
            SlowReader: the client does not read.
        """
        await self._response.write_in_time(decode_chunk(chunk))

"""The stream of one operation: distinct connections mode, and Apollo's multipart subscriptions."""

from contextlib import aclosing

from execution.answers import Answer
from execution.api import Operation
from execution.budgets import Budget
from realtime.sharing import SharedEvent, SharingStream
from server.auth.authentication import Identity
from server.graphql.execution import Execution, is_unavailable, session_ended
from server.http.connections import encode_chunk
from server.http.refusals import cannot_answer_now
from server.streams.open_streams import EndReason, OpenStream, OpenStreams
from server.streams.response import ResponseStream


class DistinctStream(SharingStream):
    """A stream that sends a subscription's events, and shares them with the viewer's other streams."""

    __slots__ = (
        "_address",
        "_budget",
        "_execution",
        "_identity",
        "_last_event_id",
        "_live",
        "_operation",
        "_place",
        "_response",
    )

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
        self._live = execution.api.live_operation(operation)
        viewer_id = None if identity.user is None else identity.user.id
        super().__init__(streams.shared, (viewer_id, type(response.format), self._live))
        self._execution = execution
        self._budget = budget
        self._identity = identity
        self._operation = operation
        self._response = response
        self._address = address
        self._last_event_id = last_event_id
        self._place: tuple[int, str] | None = None

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
        cursor = self._last_event_id
        try:
            while not await self._execute_events(stream, cursor):
                cursor = await self.listen()
        finally:
            self.leave()

    async def _execute_events(self, stream: OpenStream, last_event_id: str | None) -> bool:
        """Execute and send events until the operation is over; false if `listen` comes next."""
        answers = self._execution.events(
            self._operation, self._identity, self, self._budget, last_event_id=last_event_id
        )
        async with aclosing(answers):
            async for answer in answers:
                if is_unavailable(answer):
                    # The event has not been sent: the client reconnects for it.
                    stream.end_reason = EndReason.UNAVAILABLE
                    return True
                await self.next(answer)
                if self.rejoin():
                    return False
        if self.must_listen:
            return False
        await self._response.complete()
        return True

    async def next(self, answer: Answer) -> None:
        """Send an answer as an event, and hand it to the listeners.

        An answer without `data` gets no cursor, because the client has not received the entry's event and
        must not resume after it.
        """
        place = self._place if "data" in answer else None
        self._place = None
        event = self._response.format.next(answer, place[1] if place else None)
        if place is not None:
            self.hand_on(SharedEvent(place[0], encode_chunk(event)))
        if not self._response.write_at_once(encode_chunk(event)):
            self.yield_lead()
            await self._response.write_in_time(event)

    async def send_session_ended(self) -> None:
        """Tell the client that its session has ended, and complete: it must not reconnect."""
        await self.next(session_ended())
        await self._response.complete()

    async def begin(self, cursor: str) -> None:
        """Send the head and the cursor at which the stream starts, unless they have been sent."""
        if not self._response.begun:
            await self._response.write(self._response.format.begin(cursor))

    def reach(self, position: int, cursor: str) -> None:
        """Note the next event's place in the inbox."""
        self._place = (position, cursor)

    def write_at_once(self, chunk: bytes) -> bool:
        """Write a chunk if the response has begun and its client reads; say whether it has been written."""
        return self._response.write_at_once(chunk)

    def execute_at_once(self, cursor: str, event: object) -> bytes | None:
        """Return an event's chunk of the response, if it can be executed without waiting for anything."""
        viewer = self._identity.user
        answer = (
            None if viewer is None else self._execution.event_at_once(self._live, viewer, event, self._budget)
        )
        return None if answer is None else encode_chunk(self._response.format.next(answer, cursor))

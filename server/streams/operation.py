"""The events of one operation, which the viewer's streams of the same operation share."""

from abc import abstractmethod
from collections.abc import Hashable
from contextlib import aclosing

from db.engine import DatabaseUnavailable
from db.entries import Place
from execution.answers import Answer
from execution.api import Operation
from execution.budgets import Budget
from realtime.sharing import SharedEvent, SharedEvents, SharingStream
from server.auth.authentication import Identity
from server.graphql.execution import Execution, is_unavailable


class OperationStream(SharingStream):
    """Executes an operation, sends its events, and shares them with the viewer's other streams."""

    __slots__ = ("_budget", "_execution", "_identity", "_live", "_operation", "_reached")

    def __init__(
        self,
        execution: Execution,
        identity: Identity,
        operation: Operation,
        *,
        budget: Budget,
        shared: SharedEvents,
        encoding: Hashable,
    ) -> None:
        """Execute the operation for the identity.

        Streams share their events if they have the same `encoding`, which is what `encode` depends on.
        """
        self._live = execution.api.live_operation(operation)
        viewer_id = None if identity.user is None else identity.user.id
        super().__init__(shared, (viewer_id, encoding, self._live))
        self._execution = execution
        self._budget = budget
        self._identity = identity
        self._operation = operation
        self._reached: tuple[Place, str] | None = None

    @abstractmethod
    async def begin(self, cursor: str) -> None:
        """Tell the client that the stream is live from this cursor on."""

    @abstractmethod
    def encode(self, answer: Answer, cursor: str | None) -> bytes:
        """Return an answer as the chunk that all streams of this encoding are handed."""

    @abstractmethod
    async def write_in_time(self, chunk: bytes) -> None:
        """Write a chunk as soon as the client reads, or end the stream if it does not."""

    async def execute(self, *, last_event_id: str | None = None, start: str | None = None) -> None:
        """Send events until the operation is over.

        It resumes after `last_event_id`, which overrides its variables; without either it begins at `start`.

        Raises:
            DatabaseUnavailable: an event has not been sent. The client has to reconnect for it.
        """
        cursor = last_event_id
        try:
            while not await self._execute_events(cursor, start):
                cursor = await self.listen()
        finally:
            self.leave()

    async def _execute_events(self, last_event_id: str | None, start: str | None) -> bool:
        """Execute and send events until the operation is over; false if `listen` comes next."""
        answers = self._execution.events(
            self._operation, self._identity, self, self._budget, last_event_id=last_event_id, start=start
        )
        async with aclosing(answers):
            async for answer in answers:
                if is_unavailable(answer):
                    raise DatabaseUnavailable
                await self.next(answer)
                if self.rejoin():
                    return False
        return not self.must_listen

    async def next(self, answer: Answer) -> None:
        """Send an answer as an event, and hand it to the listeners.

        An answer without `data` gets no cursor, because the client has not received the entry's event and
        must not resume after it.
        """
        reached = self._reached if "data" in answer else None
        self._reached = None
        chunk = self.encode(answer, reached[1] if reached else None)
        if reached is not None:
            self.hand_on(SharedEvent(reached[0], chunk))
        if not self.write_at_once(chunk):
            self.yield_lead()
            await self.write_in_time(chunk)

    def reach(self, place: Place, cursor: str) -> None:
        """Note the next event's place in the inbox."""
        self._reached = (place, cursor)

    def execute_at_once(self, cursor: str, event: object) -> bytes | None:
        """Return an event's chunk, if it can be executed without waiting for anything."""
        viewer = self._identity.user
        answer = (
            None if viewer is None else self._execution.event_at_once(self._live, viewer, event, self._budget)
        )
        return None if answer is None else self.encode(answer, cursor)

"""The reserved stream of single connection mode, in the process that serves it."""

import asyncio
import json
from contextlib import aclosing, suppress
from uuid import UUID

from db import reservations
from db.engine import DatabaseUnavailable
from db.reservations import Mail, State
from execution.answers import Answer
from execution.api import Operation
from execution.budgets import Budget
from realtime.backoff import Backoff
from realtime.followed_inbox import FollowedInbox
from realtime.subscribers import Subscriber
from server.auth.authentication import Identity
from server.graphql.execution import Execution, is_unavailable, session_ended
from server.graphql.sse import Sse, operation_complete, operation_next
from server.streams.open_streams import EndReason, OpenStream, OpenStreams
from server.streams.response import ResponseStream, SlowReader


class ReservedStream:
    """A stream that executes the operations in the mailbox of its reservation, until it ends."""

    def __init__(
        self,
        execution: Execution,
        identity: Identity,
        reservation_id: UUID,
        response: ResponseStream,
        budget: Budget,
    ) -> None:
        """Execute operations for the identity that opened the stream, and send their events."""
        self._execution = execution
        self._identity = identity
        self._reservation_id = reservation_id
        self._response = response
        self._budget = budget
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._stream: OpenStream | None = None

    def check_room(self, streams: OpenStreams, address: str | None) -> None:
        """Check that the stream may be opened, before that uses up the reservation.

        Raises:
            HttpRefusal: 429, the user or the address has too many open streams.
        """
        streams.check_room(self._identity, address)

    async def serve(self, streams: OpenStreams, address: str | None) -> None:
        """Serve the stream until the client disconnects, or the session or this process ends."""
        await self._response.hold_open(self, streams=streams, identity=self._identity, address=address)

    async def send_events(self, stream: OpenStream) -> None:
        """Process the mailbox until the stream is asked to end."""
        self._stream = stream
        async with (
            self._execution.broadcaster.subscribe(self._reservation_id) as mailbox,
            asyncio.TaskGroup() as tasks,
        ):
            # Some browsers report the stream as open with its first bytes only.
            await self._write(stream, Sse.heartbeat)
            await self._read_mail(mailbox, stream, tasks)

    def end(self) -> None:
        """End the stream because its reservation has been removed: the client reserves another one."""
        if self._stream is not None:
            self._stream.end(EndReason.UNAVAILABLE)

    async def _read_mail(self, mailbox: Subscriber, stream: OpenStream, tasks: asyncio.TaskGroup) -> None:
        """Process mail as it comes, without end."""
        while True:
            for mail in await self._take_mail():
                if mail.state is State.NEW:
                    running = tasks.create_task(self._run(mail, stream))
                    self._subscriptions[mail.operation_id] = running
                    continue
                stopped = self._subscriptions.pop(mail.operation_id, None)
                if stopped is not None:
                    stopped.cancel()
                if mail.state is State.ANSWERED:
                    answer: Answer = json.loads(mail.content or "null")
                    await self._write(stream, operation_next(mail.operation_id, answer))
                await self._write(stream, operation_complete(mail.operation_id))
            await mailbox.next()

    async def _take_mail(self) -> list[Mail]:
        backoff = Backoff()
        while True:
            try:
                async with self._execution.database.connection() as connection:
                    return list(await reservations.take_mail(connection, self._reservation_id))
            except DatabaseUnavailable:
                await backoff.wait()

    async def _run(self, mail: Mail, stream: OpenStream) -> None:
        """Send a subscription's events until it is over or stopped."""
        *subscription, start = json.loads(mail.content or "")
        operation = self._execution.api.operation(*subscription)
        answers = self._execution.events(operation, self._identity, _Unplaced(), self._budget, start=start)
        async with aclosing(answers):
            async for answer in answers:
                if is_unavailable(answer):
                    # The event has not been sent: the client reconnects for it.
                    stream.end(EndReason.UNAVAILABLE)
                    return
                await self._write(stream, operation_next(mail.operation_id, answer))
        try:
            async with self._execution.database.connection() as connection:
                await reservations.remove_operation(connection, self._reservation_id, mail.operation_id)
        except DatabaseUnavailable:
            stream.end(EndReason.UNAVAILABLE)
            return
        # The client may use the ID again as soon as it reads this.
        self._subscriptions.pop(mail.operation_id, None)
        await self._write(stream, operation_complete(mail.operation_id))

    async def _write(self, stream: OpenStream, event: bytes) -> None:
        """Send an event. If the client does not read, end the stream, which cancels this task."""
        try:
            await self._response.write(event)
        except SlowReader:
            stream.end(EndReason.SLOW_READER)
            await asyncio.get_running_loop().create_future()

    async def send_session_ended(self) -> None:
        """Tell the client for each subscription, including those accepted and not yet begun."""
        operation_ids = dict.fromkeys(self._subscriptions)
        with suppress(DatabaseUnavailable):
            async with self._execution.database.snapshot() as connection:
                accepted = await reservations.subscriptions_of(connection, self._reservation_id)
            operation_ids |= dict.fromkeys(accepted)
        for operation_id in operation_ids:
            await self._response.write(operation_next(operation_id, session_ended()))
            await self._response.write(operation_complete(operation_id))


class _Unplaced:
    """The stream of one subscription here: its events show their place as `cursor` only."""

    async def begin(self, cursor: str) -> None:
        """Do nothing, because the 202 has told the client."""

    def reach(self, position: int, cursor: str) -> None:
        """Do nothing."""

    def caught_up(self, inbox: FollowedInbox) -> bool:
        """Follow on: events carry their operation's ID, so they cannot be shared."""
        return False

    @property
    def led_inbox(self) -> None:
        """None: each subscription follows an inbox of its own."""
        return


def encode_subscription(operation: Operation, start: str) -> str:
    """Return a subscription as the content of a mail; it begins at `start` unless its arguments say where.

    The arguments of `Api.operation` come first, then `start`.
    """
    return json.dumps(
        [operation.query, operation.name, dict(operation.variables), operation.request_id, start]
    )

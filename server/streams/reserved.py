"""The reserved stream of single connection mode, in the process that serves it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from uuid import UUID

from db import reservations
from db.engine import DatabaseUnavailable
from db.reservations import Mail, State, TakenMail
from execution.answers import Answer, encode_json, last_answer
from execution.api import Operation
from execution.budgets import Budget
from realtime.backoff import Backoff
from realtime.sharing import SharedEvents
from realtime.subscribers import Subscriber
from resolvers.errors import RateLimited
from server.auth.authentication import Identity
from server.graphql.execution import Execution, session_ended
from server.graphql.sse import Sse, operation_complete, operation_next
from server.http.connections import encode_chunk
from server.streams.accepted import AcceptedSubscription
from server.streams.open_streams import EndReason, OpenStream, OpenStreams
from server.streams.operation import OperationStream
from server.streams.response import ResponseStream, SlowReader


class ReservedStream:
    """A stream that executes the operations in the mailbox of its reservation, until it ends."""

    def __init__(
        self,
        execution: Execution,
        identity: Identity,
        reservation_id: UUID,
        response: ResponseStream,
        *,
        budget: Budget,
        streams: OpenStreams,
        address: str | None,
    ) -> None:
        """Execute operations for the identity that opened the stream, and send their events."""
        self._execution = execution
        self._identity = identity
        self._viewer_id = None if identity.user is None else identity.user.id
        self._reservation_id = reservation_id
        self._response = response
        self._budget = budget
        self._streams = streams
        self._address = address
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._stream: OpenStream | None = None

    def check_room(self) -> None:
        """Check that the stream may be opened, before that uses up the reservation.

        Raises:
            HttpRefusal: 429, the user or the address has too many open streams.
        """
        self._streams.check_room(self._identity, self._address)

    async def serve(self) -> None:
        """Serve the stream until the client disconnects, or the session or this process ends."""
        await self._response.hold_open(
            self, streams=self._streams, identity=self._identity, address=self._address
        )

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
            taken = await self._take_mail(stream)
            for mail in taken.mail:
                if mail.state is State.NEW:
                    running = tasks.create_task(self._run(mail, stream))
                    self._subscriptions[mail.operation_id] = running
                    continue
                stopped = self._subscriptions.pop(mail.operation_id, None)
                if stopped is not None:
                    stopped.cancel()
                if mail.state is State.ANSWERED:
                    await self._write(stream, operation_next(mail.operation_id, mail.content))
                await self._write(stream, operation_complete(mail.operation_id))
            if taken.is_all:
                await mailbox.next()

    async def _take_mail(self, stream: OpenStream) -> TakenMail:
        """Take the first mail, as soon as the database responds.

        If it is unknown whether mail was taken, end the stream, which cancels this task. The client then
        reserves another stream, and sends its operations again.
        """
        backoff, is_sent = Backoff(), False
        while not is_sent:
            try:
                async with self._execution.database.connection(share_of=self._viewer_id) as connection:
                    is_sent = True
                    return await reservations.take_mail(connection, self._reservation_id)
            except DatabaseUnavailable:
                if not is_sent:
                    await backoff.wait()
        stream.end(EndReason.UNAVAILABLE)
        return await asyncio.get_running_loop().create_future()

    async def _run(self, mail: Mail, stream: OpenStream) -> None:
        """Send a subscription's events until it is over or stopped."""
        try:
            with self._streams.counting_subscription(stream):
                await self._send_events_of(mail, stream)
        except RateLimited as error:
            await self._write(stream, operation_next(mail.operation_id, encode_json(last_answer(error))))
        except DatabaseUnavailable:
            # The event has not been sent: the client reconnects for it.
            stream.end(EndReason.UNAVAILABLE)
            return
        await self._complete(mail, stream)

    async def _send_events_of(self, mail: Mail, stream: OpenStream) -> None:
        accepted = AcceptedSubscription.decode(mail.content)
        operation = ReservedOperation(
            mail.operation_id,
            self._execution,
            self._identity,
            await accepted.operation(self._execution.api, self._budget),
            self._response,
            write=partial(self._write, stream),
            budget=self._budget,
            shared=self._streams.shared,
        )
        await operation.execute(start=accepted.start)

    async def _complete(self, mail: Mail, stream: OpenStream) -> None:
        """Tell the client that a subscription is over, after which it may use the ID again."""
        try:
            async with self._execution.database.connection(share_of=self._viewer_id) as connection:
                await reservations.remove_operation(
                    connection, self._reservation_id, mail.operation_id, mail.seq
                )
        except DatabaseUnavailable:
            stream.end(EndReason.UNAVAILABLE)
            return
        # A later subscription may already have the same ID.
        if self._subscriptions.get(mail.operation_id) is asyncio.current_task():
            del self._subscriptions[mail.operation_id]
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
            async with self._execution.database.snapshot(share_of=self._viewer_id) as connection:
                accepted = await reservations.subscriptions_of(connection, self._reservation_id)
            operation_ids |= dict.fromkeys(accepted)
        for operation_id in operation_ids:
            await self._response.write(operation_next(operation_id, encode_json(session_ended())))
            await self._response.write(operation_complete(operation_id))


class ReservedOperation(OperationStream):
    """A subscription on a reserved stream. The streams that share its events are handed encoded answers."""

    __slots__ = ("_operation_id", "_response", "_task", "_write")

    def __init__(
        self,
        operation_id: str,
        execution: Execution,
        identity: Identity,
        operation: Operation,
        response: ResponseStream,
        *,
        write: Callable[[bytes], Awaitable[None]],
        budget: Budget,
        shared: SharedEvents,
    ) -> None:
        """Execute the operation in the current task, until that is cancelled.

        `write` sends an event on the response in time, or ends the stream.
        """
        super().__init__(
            execution, identity, operation, budget=budget, shared=shared, encoding=ReservedOperation
        )
        self._operation_id = operation_id
        self._response = response
        self._task = asyncio.current_task()
        self._write = write

    async def begin(self, cursor: str) -> None:
        """Do nothing, because the 202 has told the client."""

    def encode(self, answer: Answer, cursor: str | None) -> bytes:
        """Return an answer as JSON. Its place is not part of it: these events show it as `cursor` only."""
        return encode_json(answer)

    def write_at_once(self, chunk: bytes) -> bool:
        """Write an encoded answer if the client reads, unless the operation has just been stopped."""
        if self._task is None or self._task.cancelling():
            return False
        return self._response.write_at_once(encode_chunk(operation_next(self._operation_id, chunk)))

    async def write_in_time(self, chunk: bytes) -> None:
        """Write an encoded answer as soon as the client reads, or end the stream if it does not."""
        await self._write(operation_next(self._operation_id, chunk))

"""Storing simultaneous messages together, so that they share a statement and a commit."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

import structlog
from asyncpg import PostgresError

from db.held_conversations import HeldConversations
from db.inboxes import Delivered, NotStored, Outgoing, deliver_all
from db.outages import LOCK_ERRORS, DatabaseUnavailable, is_outage
from db.rejecting import reject
from db.statements import Connection

log = structlog.stdlib.get_logger(__name__)

_MOST_AT_ONCE = 64
_MOST_WAITING = 10_000
# The connection is then released, so that others waiting for one get a turn.
_BATCHES_ON_A_CONNECTION = 16
# Longer than the server's `statement_timeout`: a statement that takes this long has lost its connection.
_STATEMENT_SECONDS = 20
# The time to wait for a connection (10 seconds) plus the time for a statement.
_PATIENCE_SECONDS = 30
_LAST_SECONDS = 10
_MOST_SET_ASIDE = 1_000
# Long enough for a lock that another transaction holds only until its commit.
_DO_NOT_WAIT = "SET LOCAL lock_timeout = '100ms'"

Connect = Callable[[], AbstractAsyncContextManager[Connection]]
Begin = Callable[[Connection], AbstractAsyncContextManager[None]]
_Outcome = Delivered | NotStored | Exception


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Outgoing
    outcome: asyncio.Future[Delivered | NotStored]


class Deliveries:
    """Stores messages in the order in which they arrive, and all queued messages in one statement.

    A single message is stored immediately. Messages that arrive while a statement is running share the next
    one. Messages to a conversation that another transaction has locked are set aside. They delay others only
    once, for the `lock_timeout` of the connection.
    """

    def __init__(self, connect: Connect, begin: Begin, begin_transaction: Begin) -> None:
        """Use connections from `connect`, and `begin` for one statement or `begin_transaction` for several.

        Both commit when their block ends.
        """
        self._connect = connect
        self._begin = begin
        self._begin_transaction = begin_transaction
        self._held = HeldConversations(self._store_held)
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(_MOST_WAITING)
        self._running = False

    async def deliver(self, message: Outgoing) -> Delivered | NotStored:
        """Store the message like `inboxes.deliver`, regardless of errors of other messages in its batch.

        Raises:
            DatabaseUnavailable: the database does not respond, the queue is full, or another transaction has
                locked the conversation. It is then unknown whether the message is stored.
        """
        if not self._running:
            raise _stopped()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Delivered | NotStored] = loop.create_future()
        try:
            self._queue.put_nowait(_Waiting(message, outcome))
        except asyncio.QueueFull as error:
            raise DatabaseUnavailable("message queue is full") from error
        # `asyncio.timeout` would take as long as everything else here.
        expiry = loop.call_later(_PATIENCE_SECONDS, _expire, outcome)
        try:
            return await outcome
        finally:
            expiry.cancel()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Store messages while the block runs; at its end, wait for the remaining ones."""
        writer = asyncio.create_task(self._write(), name="deliveries")
        self._running = True
        try:
            yield
        finally:
            self._running = False
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_SECONDS):
                        await self._queue.join()
                        await self._held.drained()
            finally:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
                for each in await self._held.close():
                    _tell([each], [_stopped()])
                while not self._queue.empty():
                    _tell([self._queue.get_nowait()], [_stopped()])

    async def _write(self) -> None:
        while True:
            batch = [await self._queue.get()]
            try:
                await self._store_batches(batch)
            except asyncio.CancelledError:
                _tell(batch, [_stopped()] * len(batch))
                raise
            except Exception as error:
                if not batch:
                    log.exception("connection could not be released")
                _tell(batch, [error] * len(batch))
            finally:
                self._done_with(batch)

    async def _store_batches(self, batch: list[_Waiting]) -> None:
        """Store queued messages over one connection, starting with those in `batch`.

        If an error is raised, `batch` contains the messages that have no outcome yet.
        """
        async with self._connect() as connection:
            for _ in range(_BATCHES_ON_A_CONNECTION):
                while len(batch) < _MOST_AT_ONCE and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                await self._store(connection, self._ready(batch))
                self._done_with(batch)
                if self._queue.empty():
                    break

    def _done_with(self, batch: list[_Waiting]) -> None:
        for _ in batch:
            self._queue.task_done()
        batch.clear()

    def _ready(self, batch: Sequence[_Waiting]) -> list[_Waiting]:
        """Return the messages whose callers still wait; set aside those whose conversation is locked."""
        ready: list[_Waiting] = []
        for each in batch:
            if self._held.holds(each.message.conversation_id):
                self._set_aside(each)
            elif not each.outcome.done():
                ready.append(each)
        return ready

    def _set_aside(self, each: _Waiting) -> None:
        if len(self._held) < _MOST_SET_ASIDE:
            self._held.add(each.message.conversation_id, each)
        else:
            _tell([each], [_locked()])

    async def _store(self, connection: Connection, batch: Sequence[_Waiting]) -> None:
        """Store the messages in one statement or, if it fails because of one of them, one by one."""
        if not batch:
            return
        try:
            async with asyncio.timeout(_STATEMENT_SECONDS), self._begin(connection):
                outcomes = await deliver_all(connection, [each.message for each in batch])
        except PostgresError as error:
            if is_outage(error) and not isinstance(error, LOCK_ERRORS):
                raise
            if len(batch) == 1:
                self._fail(batch[0], error)
                return
            for each in batch:
                await self._store_alone(connection, each)
        else:
            _tell(batch, outcomes)

    async def _store_alone(self, connection: Connection, each: _Waiting) -> None:
        """Store one message, or set it aside if its locks are not available almost immediately."""
        if self._held.holds(each.message.conversation_id):
            self._set_aside(each)
            return
        try:
            async with asyncio.timeout(_STATEMENT_SECONDS), self._begin_transaction(connection):
                await connection.execute(_DO_NOT_WAIT)
                outcomes = await deliver_all(connection, [each.message])
        except PostgresError as error:
            if is_outage(error) and not isinstance(error, LOCK_ERRORS):
                raise
            self._fail(each, error)
        else:
            _tell([each], outcomes)

    def _fail(self, each: _Waiting, error: PostgresError) -> None:
        if isinstance(error, LOCK_ERRORS):
            self._set_aside(each)
        else:
            _tell([each], [error])

    async def _store_held(self, each: _Waiting) -> bool:
        """Store a message that was set aside. Return False if its conversation is still locked."""
        if each.outcome.done():
            return True
        try:
            async with self._connect() as connection:
                try:
                    async with asyncio.timeout(_STATEMENT_SECONDS), self._begin(connection):
                        outcomes = await deliver_all(connection, [each.message])
                except LOCK_ERRORS:
                    _tell([each], [_locked()])
                    return False
        except Exception as error:
            _tell([each], [error])
        else:
            _tell([each], outcomes)
        return True


def _tell(batch: Sequence[_Waiting], outcomes: Sequence[_Outcome]) -> None:
    for each, outcome in zip(batch, outcomes, strict=True):
        if isinstance(outcome, Exception):
            reject(each.outcome, outcome)
        elif not each.outcome.done():
            each.outcome.set_result(outcome)


def _expire(outcome: asyncio.Future[Delivered | NotStored]) -> None:
    if not outcome.done():
        outcome.set_exception(DatabaseUnavailable("timed out waiting to store the message"))


def _locked() -> DatabaseUnavailable:
    return DatabaseUnavailable("another transaction has locked the conversation")


def _stopped() -> DatabaseUnavailable:
    return DatabaseUnavailable("shutting down")

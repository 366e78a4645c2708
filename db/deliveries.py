"""Messages that are handed in at the same time, stored together: they share a statement and a commit."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from copy import copy
from dataclasses import dataclass

import structlog
from asyncpg import DataError, IntegrityConstraintViolationError

from db.inboxes import Delivered, Outgoing, Refused, deliver_all
from db.outages import DatabaseUnavailable
from db.statements import Connection

log = structlog.stdlib.get_logger(__name__)

_MOST_AT_ONCE = 64
_MOST_WAITING = 10_000
# Then others who wait for a connection have a turn.
_BATCHES_ON_A_CONNECTION = 16
# Longer than the server lets a statement take: it has not been heard of since.
_STATEMENT_SECONDS = 20
# As long as a connection is waited for, and then a statement.
_PATIENCE_SECONDS = 30
_LAST_SECONDS = 10

Connect = Callable[[], AbstractAsyncContextManager[Connection]]
Begin = Callable[[Connection], AbstractAsyncContextManager[None]]
_Outcome = Delivered | Refused | Exception


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Outgoing
    outcome: asyncio.Future[Delivered | Refused]


class Deliveries:
    """Stores messages in the order in which they are handed in, those that wait at a time in one statement.

    A message that comes alone goes alone and at once; the more come while a statement runs, the more go with
    the next.
    """

    def __init__(self, connect: Connect, begin: Begin) -> None:
        """Store over the connections that `connect` opens; a statement is committed when `begin` ends."""
        self._connect = connect
        self._begin = begin
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(_MOST_WAITING)
        self._running = False

    async def deliver(self, message: Outgoing) -> Delivered | Refused:
        """Store the message, as `inboxes.deliver` does; what becomes of others is nothing to it.

        Raises:
            DatabaseUnavailable: the database does not answer. Whether it is stored is then not known.
        """
        if not self._running:
            raise _stopped()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Delivered | Refused] = loop.create_future()
        try:
            self._queue.put_nowait(_Waiting(message, outcome))
        except asyncio.QueueFull as error:
            raise DatabaseUnavailable("too many messages wait") from error
        # A timeout's context would take as much time as all else here.
        expiry = loop.call_later(_PATIENCE_SECONDS, _expire, outcome)
        try:
            return await outcome
        finally:
            expiry.cancel()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Store what is handed in for as long as the block runs, and what has been until then."""
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
            finally:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
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
                    log.exception("a connection could not be given back")
                _tell(batch, [error] * len(batch))
            finally:
                self._done_with(batch)

    async def _store_batches(self, batch: list[_Waiting]) -> None:
        """Store what waits over one connection, beginning with those in `batch`.

        When an error is raised, those are left in it who have not been told what has become of their message.
        """
        async with self._connect() as connection:
            for _ in range(_BATCHES_ON_A_CONNECTION):
                while len(batch) < _MOST_AT_ONCE and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                # For one who has gone meanwhile nothing is begun.
                present = [each for each in batch if not each.outcome.done()]
                if present:
                    _tell(present, await self._store(connection, [each.message for each in present]))
                self._done_with(batch)
                if self._queue.empty():
                    break

    def _done_with(self, batch: list[_Waiting]) -> None:
        for _ in batch:
            self._queue.task_done()
        batch.clear()

    async def _store(self, connection: Connection, messages: Sequence[Outgoing]) -> Sequence[_Outcome]:
        try:
            async with asyncio.timeout(_STATEMENT_SECONDS), self._begin(connection):
                return await deliver_all(connection, messages)
        except (IntegrityConstraintViolationError, DataError) as error:
            # What is wrong with one of them is nothing to the others.
            if len(messages) > 1:
                return [outcome for each in messages for outcome in await self._store(connection, [each])]
            return [error]


def _tell(batch: Sequence[_Waiting], outcomes: Sequence[_Outcome]) -> None:
    for each, outcome in zip(batch, outcomes, strict=True):
        if each.outcome.done():
            continue
        if isinstance(outcome, Exception):
            # One exception cannot be raised in many places at once.
            own = copy(outcome)
            own.__cause__ = outcome
            each.outcome.set_exception(own)
        else:
            each.outcome.set_result(outcome)


def _expire(outcome: asyncio.Future[Delivered | Refused]) -> None:
    if not outcome.done():
        outcome.set_exception(DatabaseUnavailable("the message has waited for too long"))


def _stopped() -> DatabaseUnavailable:
    return DatabaseUnavailable("nothing is stored any more")

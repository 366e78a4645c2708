"""Messages that are handed in at the same time, stored together: they share a statement and a commit."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from copy import copy
from dataclasses import dataclass

from asyncpg import DataError, IntegrityConstraintViolationError

from db.inboxes import Delivered, Outgoing, Refused, deliver_all
from db.outages import DatabaseUnavailable
from db.statements import Connection

_MOST_AT_ONCE = 64
_MOST_WAITING = 1_000
_WRITERS = 2
# Longer than a connection is waited for and a statement may take.
_PATIENCE_SECONDS = 30
_LAST_SECONDS = 10

Connect = Callable[[], AbstractAsyncContextManager[Connection]]
_Outcome = Delivered | Refused | Exception


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Outgoing
    outcome: asyncio.Future[Delivered | Refused]


class Deliveries:
    """Stores messages, all that wait at a time in one statement.

    A message that comes alone goes alone and at once; the more come while one statement runs, the more go
    with the next.
    """

    def __init__(self, connect: Connect) -> None:
        """Store over the connections that `connect` opens."""
        self._connect = connect
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(_MOST_WAITING)
        self._running = False

    async def deliver(self, message: Outgoing) -> Delivered | Refused:
        """Store the message, as `inboxes.deliver` does; what becomes of others is nothing to it.

        Raises:
            DatabaseUnavailable: the database does not answer. Whether it is stored is then not known.
        """
        if not self._running:
            raise _stopped()
        outcome: asyncio.Future[Delivered | Refused] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._queue.put(_Waiting(message, outcome))
                return await outcome
        except TimeoutError as error:
            raise DatabaseUnavailable("the message has waited for too long") from error

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Store what is handed in for as long as the block runs, and what has been until then."""
        writers = [asyncio.create_task(self._write(), name="deliveries") for _ in range(_WRITERS)]
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
                for writer in writers:
                    writer.cancel()
                await asyncio.gather(*writers, return_exceptions=True)
                while not self._queue.empty():
                    _tell([self._queue.get_nowait()], [_stopped()])

    async def _write(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < _MOST_AT_ONCE and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                # For one who has gone meanwhile nothing is begun.
                await self._settle([each for each in batch if not each.outcome.done()])
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _settle(self, batch: Sequence[_Waiting]) -> None:
        """Store the messages, and tell each of those who wait what became of theirs."""
        if not batch:
            return
        try:
            outcomes = await self._store([each.message for each in batch])
        except asyncio.CancelledError:
            _tell(batch, [_stopped()] * len(batch))
            raise
        _tell(batch, outcomes)

    async def _store(self, messages: Sequence[Outgoing]) -> Sequence[_Outcome]:
        try:
            async with self._connect() as connection:
                return await deliver_all(connection, messages)
        except (IntegrityConstraintViolationError, DataError) as error:
            # What is wrong with one of them is nothing to the others.
            if len(messages) > 1:
                return [outcome for each in messages for outcome in await self._store([each])]
            return [error]
        except Exception as error:
            return [error] * len(messages)


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


def _stopped() -> DatabaseUnavailable:
    return DatabaseUnavailable("nothing is stored any more")

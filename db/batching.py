"""Batching of reads: callers that are waiting at the same time share a statement."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import structlog

from db.outages import CONNECTION_ERRORS, DatabaseUnavailable, is_outage
from db.rejecting import reject
from db.statements import Connection

log = structlog.stdlib.get_logger(__name__)

_MOST_AT_ONCE = 32
_MOST_WAITING = 20_000
# A slower statement does not delay later callers, which use another connection.
_SLOW_SECONDS = 0.02
_MOST_READERS = 4
# The connection is then released, so that others waiting for one get a turn.
_BATCHES_ON_A_CONNECTION = 16
# Longer than the server's `statement_timeout`: a statement that takes this long has lost its connection.
_STATEMENT_SECONDS = 20
# The time to wait for a connection (10 seconds) plus the time for a statement.
_PATIENCE_SECONDS = 30

Connect = Callable[[], AbstractAsyncContextManager[Connection]]
Begin = Callable[[Connection], AbstractAsyncContextManager[None]]
_Asked = TypeVar("_Asked")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[_Asked, _Found]):
    asked: _Asked
    found: asyncio.Future[_Found]
    gives_up_at: float


class Batching(Generic[_Asked, _Found]):
    """Executes reads in the order of their callers, with one statement for all waiting callers.

    A single caller does not wait for others: its statement starts immediately. Callers that arrive while a
    statement is running share the next one. So do callers that arrive in consecutive iterations of the event
    loop, until there is an iteration without any.
    """

    def __init__(
        self,
        connect: Connect,
        begin: Begin,
        read: Callable[[Connection, Sequence[_Asked]], Awaitable[Sequence[_Found]]],
        *,
        name: str,
    ) -> None:
        """Read over connections from `connect`, with `begin` for each statement.

        `read` executes one statement, and returns the results in the order of the requests.
        """
        self._connect = connect
        self._begin = begin
        self._read = read
        self._name = name
        self._waiting: deque[_Waiting[_Asked, _Found]] = deque()
        self._readers: set[asyncio.Task[None]] = set()
        # The readers with a slow statement. Later callers get another reader.
        self._slow: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def read(self, asked: _Asked) -> _Found:
        """Return the result for one request, regardless of errors for others.

        Raises:
            DatabaseUnavailable: the database does not respond, or too many callers are waiting.
        """
        if self._is_closed:
            raise _stopped()
        if len(self._waiting) >= _MOST_WAITING:
            raise DatabaseUnavailable("too many reads are waiting")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(asked, loop.create_future(), loop.time() + _PATIENCE_SECONDS)
        self._waiting.append(waiting)
        self._start_reader()
        return await waiting.found

    async def close(self) -> None:
        """Reject waiting and new callers."""
        self._is_closed = True
        readers = list(self._readers)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        _fail(self._waiting, _stopped())
        self._waiting.clear()

    def _start_reader(self) -> None:
        """Start a task that reads for the waiting callers, unless one is running."""
        if len(self._readers) == len(self._slow) < _MOST_READERS:
            reader = asyncio.get_running_loop().create_task(self._read_waiting(), name=self._name)
            self._readers.add(reader)

    async def _read_waiting(self) -> None:
        """Read until no caller is waiting."""
        try:
            while self._waiting:
                await self._read_over_a_connection()
        finally:
            # Not in a callback of the task: callers that arrive before it runs would wait forever.
            self._readers.discard(_this_task())

    def _mark_slow(self, reader: asyncio.Task[None]) -> None:
        self._slow.add(reader)
        if self._waiting:
            self._start_reader()

    async def _read_over_a_connection(self) -> None:
        is_connected, batch = False, deque[_Waiting[_Asked, _Found]]()
        try:
            async with self._connect() as connection:
                is_connected = True
                for _ in range(_BATCHES_ON_A_CONNECTION):
                    await self._gather()
                    self._take(batch)
                    if not batch:
                        break
                    await self._read_batch(connection, batch)
        except asyncio.CancelledError:
            _fail(batch, _stopped())
            raise
        except Exception as error:
            if is_connected and not batch:
                log.exception("connection could not be released")
            if not is_connected:
                # The other waiting callers would not get a connection either.
                batch, self._waiting = self._waiting, deque()
            _fail(batch, error)

    async def _gather(self) -> None:
        """Wait for further callers, as long as some arrive in each iteration of the event loop."""
        before, count = 1, len(self._waiting)
        while before < count < _MOST_AT_ONCE:
            await asyncio.sleep(0)
            before, count = count, len(self._waiting)

    def _take(self, batch: deque[_Waiting[_Asked, _Found]]) -> None:
        while self._waiting and len(batch) < _MOST_AT_ONCE:
            each = self._waiting.popleft()
            if self._is_awaited(each):
                batch.append(each)

    def _is_awaited(self, each: _Waiting[_Asked, _Found]) -> bool:
        """Return whether the caller is still waiting. Reject it if it has waited too long."""
        if not each.found.done() and each.gives_up_at < asyncio.get_running_loop().time():
            each.found.set_exception(DatabaseUnavailable("timed out waiting to read"))
        return not each.found.done()

    async def _read_batch(self, connection: Connection, batch: deque[_Waiting[_Asked, _Found]]) -> None:
        """Read in one statement or, if it fails because of one caller, one by one. Empties `batch`.

        If the connection is lost, the callers without a result stay in `batch`.
        """
        error = await self._execute(connection, batch)
        if error is not None and len(batch) == 1:
            _fail(batch, error)
        elif error is not None:
            while batch:
                each = batch[0]
                if self._is_awaited(each) and (its_error := await self._execute(connection, [each])):
                    _fail([each], its_error)
                batch.popleft()
        batch.clear()

    async def _execute(
        self, connection: Connection, batch: Collection[_Waiting[_Asked, _Found]]
    ) -> Exception | None:
        """Execute a statement and set the results of its callers, or return its error."""
        reader = _this_task()
        slow_timer = asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._mark_slow, reader)
        try:
            async with asyncio.timeout(_STATEMENT_SECONDS), self._begin(connection):
                found = await self._read(connection, [each.asked for each in batch])
        except Exception as error:
            # Reads wait only for locks on whole tables, so a lock timeout affects every caller.
            if _is_outage(error):
                raise
            return error
        finally:
            slow_timer.cancel()
            self._slow.discard(reader)
        for each, its in zip(batch, found, strict=True):
            if not each.found.done():
                each.found.set_result(its)
        return None


def _fail(waiting: Iterable[_Waiting[_Asked, _Found]], error: Exception) -> None:
    if _is_outage(error):
        error = DatabaseUnavailable(str(error) or type(error).__name__)
    for each in waiting:
        reject(each.found, error)


def _is_outage(error: Exception) -> bool:
    return isinstance(error, CONNECTION_ERRORS) and is_outage(error)


def _this_task() -> asyncio.Task[None]:
    return cast("asyncio.Task[None]", asyncio.current_task())


def _stopped() -> DatabaseUnavailable:
    return DatabaseUnavailable("shutting down")

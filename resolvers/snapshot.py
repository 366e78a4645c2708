"""A request's snapshot of the database."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Protocol
from uuid import UUID

from db.engine import Database, DatabaseUnavailable, naming_outages
from db.statements import Connection
from db.users import UserGone
from realtime.backoff import Backoff
from resolvers.errors import AccountGone, Unavailable


class _Connect(Protocol):
    def __call__(
        self, *, share_of: UUID | None, requests_of: UUID | None
    ) -> AbstractAsyncContextManager[Connection]: ...


class Snapshot:
    """A consistent view of the database over one connection, from the first read until `give_back`.

    The next read after that opens a newer snapshot. When the request has ended, further readers are
    cancelled.
    """

    __slots__ = (
        "_connection",
        "_count_statement",
        "_database",
        "_ended",
        "_is_single",
        "_lock",
        "_opened",
        "_requests_of",
        "_share_of",
        "_waits",
    )

    def __init__(
        self,
        database: Database,
        *,
        waits: bool,
        ended: bool,
        share_of: UUID | None = None,
        requests_of: UUID | None = None,
        count_statement: Callable[[], None],
    ) -> None:
        """Do not connect yet. With `waits`, retry until the database responds.

        The connection is from the share of the streams of the user `share_of`, or of the requests of the user
        `requests_of`. `count_statement` is called for each read.
        """
        self._database = database
        self._share_of = share_of
        self._requests_of = requests_of
        self._count_statement = count_statement
        self._waits = waits
        self._ended = ended
        self._is_single = False
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._opened: AbstractAsyncContextManager[Connection] | None = None

    def read_once(self) -> None:
        """Take every read for the only one until `give_back`: it needs no transaction around it."""
        self._is_single = True

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Connection]:
        """Yield the connection, to one reader at a time.

        Raises:
            Unavailable: the database does not respond.
            AccountGone: the viewer has been removed.
            CancelledError: the request has ended. The tasks of loaders may outlive it.
        """
        async with self._lock:
            if self._ended:
                raise asyncio.CancelledError
            self._count_statement()
            is_single = self._is_single and self._connection is None
            if self._connection is None:
                await self._open(self._database.connection if is_single else self._database.snapshot)
            assert self._connection is not None
            try:
                yield self._connection
            except BaseException as error:
                # They take time to enter, and few readers fail.
                with rejecting_outages(), naming_outages():
                    if is_single:
                        await self._close(type(error), error, error.__traceback__)
                    raise
            else:
                if is_single:
                    # If the connection is lost now, what was read remains valid.
                    with suppress(DatabaseUnavailable):
                        await self._close(None, None, None)
            finally:
                if self._ended:
                    self._release()

    async def _open(self, connect: "_Connect") -> None:
        backoff = None
        while True:
            opened = connect(share_of=self._share_of, requests_of=self._requests_of)
            try:
                self._connection = await opened.__aenter__()
            except DatabaseUnavailable as error:
                if not self._waits:
                    raise Unavailable from error
            else:
                self._opened = opened
                return
            backoff = backoff or Backoff()
            await backoff.wait()

    async def give_back(self) -> None:
        """Release the connection after its reader has finished."""
        self._is_single = False
        if self._connection is None and not self._lock.locked():
            return
        async with self._lock:
            self._release()

    def _release(self) -> None:
        """End the transaction in the background."""
        opened, self._opened = self._opened, None
        self._connection = None
        if opened is not None:
            self._database.end_later(opened)

    async def _close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the block of a single statement; with an error, roll back what is left of it."""
        opened, self._opened = self._opened, None
        self._connection = None
        assert opened is not None
        await opened.__aexit__(kind, error, trace)

    async def end(self) -> None:
        """Release the connection, and cancel all later readers."""
        self._ended = True
        await self.give_back()


@contextmanager
def rejecting_outages() -> Generator[None]:
    """Convert errors of the database to the rejections that the client gets."""
    try:
        yield
    except DatabaseUnavailable as error:
        raise Unavailable from error
    except UserGone as error:
        # A token of a removed user remains cached for a few seconds.
        raise AccountGone from error

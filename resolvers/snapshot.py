"""A request's view of the database."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from uuid import UUID

from db.engine import Database, DatabaseUnavailable, naming_outages
from db.statements import Connection
from db.users import UserGone
from realtime.backoff import Backoff
from resolvers.errors import AccountGone, Unavailable


class Snapshot:
    """One consistent view of the database, over one connection, from the first read to `give_back`.

    The next read after that opens a newer one. Once the request has ended, its readers are cancelled.
    """

    __slots__ = ("_connection", "_database", "_ended", "_lock", "_opened", "_share_of", "_waits")

    def __init__(self, database: Database, *, waits: bool, ended: bool, share_of: UUID | None = None) -> None:
        """Open nothing yet. With `waits`, a database that does not answer is retried until it does.

        The connection is from the share of the user `share_of`, if given.
        """
        self._database = database
        self._share_of = share_of
        self._waits = waits
        self._ended = ended
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._opened: AsyncExitStack | None = None

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Connection]:
        """Yield the connection, to one reader at a time.

        Raises:
            Unavailable: the database does not answer.
            AccountGone: the viewer has just been removed.
            CancelledError: the request has ended. Loaders have tasks of their own, which outlive it.
        """
        async with self._lock:
            if self._ended:
                raise asyncio.CancelledError
            if self._connection is None:
                self._connection = await self._open()
            with rejecting_outages(), naming_outages():
                yield self._connection

    async def _open(self) -> Connection:
        backoff = Backoff()
        self._opened = AsyncExitStack()
        while True:
            try:
                return await self._opened.enter_async_context(
                    self._database.snapshot(share_of=self._share_of)
                )
            except DatabaseUnavailable as error:
                if not self._waits:
                    raise Unavailable from error
            await backoff.wait()

    async def give_back(self) -> None:
        """Give the connection back once its reader is done."""
        if self._connection is None and not self._lock.locked():
            return
        async with self._lock:
            opened, self._opened = self._opened, None
            self._connection = None
            if opened is not None:
                # What was read stays true if the connection is lost before it is given back.
                with suppress(DatabaseUnavailable):
                    await opened.aclose()

    async def end(self) -> None:
        """Give the connection back, and cancel whatever reads from now on."""
        self._ended = True
        await self.give_back()


@contextmanager
def rejecting_outages() -> Generator[None]:
    """Raise what the database raises as the rejections that it means to the client."""
    try:
        yield
    except DatabaseUnavailable as error:
        raise Unavailable from error
    except UserGone as error:
        # Their token is cached for some more seconds.
        raise AccountGone from error

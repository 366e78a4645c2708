"""The connection pool, and the ways to use it: for one statement, a snapshot, a transaction, a delivery."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any
from uuid import UUID

import asyncpg

from db.deliveries import Deliveries
from db.outages import CONNECTION_ERRORS, DatabaseUnavailable, naming_outages
from db.shares import Shares
from db.statements import Connection
from db.urls import libpq_url

__all__ = [
    "CONNECTION_ERRORS",
    "Connection",
    "Database",
    "DatabaseUnavailable",
    "naming_outages",
    "open_database",
]

SERVER_SETTINGS: Mapping[str, str] = {
    "application_name": "messenger",
    "timezone": "UTC",
    "statement_timeout": "15000",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "60000",
}
_TRANSACTION = "BEGIN ISOLATION LEVEL READ COMMITTED"
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# Longer than the server lets a statement take: a connection that is silent for so long is dead.
_COMMAND_SECONDS = 20
_ROLLBACK_SECONDS = 5
_ACQUIRE_SECONDS = 10
_CLOSE_SECONDS = 10
# So many statements later a connection is made anew, and with it PostgreSQL's process and its memory.
_MOST_STATEMENTS = 1_000_000
_EVERYTHING = nullcontext()


class Database:
    """A pool of connections to one PostgreSQL."""

    def __init__(self, url: str, pool: "asyncpg.Pool[asyncpg.Record]", *, behind_pooler: bool) -> None:
        """Use the pool of connections to `url`."""
        self.url = url
        self.behind_pooler = behind_pooler
        self.deliveries = Deliveries(self._connected, self._one_statement, _transaction_on)
        self._pool = pool
        self._shares = Shares()

    @asynccontextmanager
    async def connection(self, *, share_of: UUID | None = None) -> AsyncGenerator[Connection]:
        """Yield a connection for one statement, which is a transaction by itself.

        With `share_of`, it is one of the few that the streams of this user use at a time, see `db.shares`.

        Raises:
            DatabaseUnavailable: no connection is to be had, or it is lost. When it is lost while a statement
                runs that writes, nobody knows whether it did.
        """
        async with self._share(share_of), self._connected() as connection, self._one_statement(connection):
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Yield a connection in a READ COMMITTED transaction, committed when the block ends well.

        Raises:
            DatabaseUnavailable: no connection is to be had, or it is lost. When it is lost while the
                transaction commits, nobody knows whether it did.
        """
        async with self._connected() as connection, _begun(connection, _TRANSACTION):
            yield connection

    @asynccontextmanager
    async def snapshot(self, *, share_of: UUID | None = None) -> AsyncGenerator[Connection]:
        """Yield a connection whose every statement sees the database as the first one did.

        With `share_of`, it is one of the few that the streams of this user use at a time, see `db.shares`.

        Raises:
            DatabaseUnavailable: no connection is to be had, or it is lost.
        """
        async with self._share(share_of), self._connected() as connection, _begun(connection, _SNAPSHOT):
            yield connection

    def _share(self, user_id: UUID | None) -> AbstractAsyncContextManager[None]:
        return _EVERYTHING if user_id is None else self._shares.of(user_id)

    def _one_statement(self, connection: Connection) -> AbstractAsyncContextManager[None]:
        # Behind a pooler a statement is prepared first, which has to reach the same server.
        return _begun(connection, _TRANSACTION) if self.behind_pooler else nullcontext()

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Connection]:
        connection = await self._acquire()
        with naming_outages():
            try:
                yield connection
            except TimeoutError:
                await self._replace_silent_connections(connection)
                raise
            finally:
                # A connection that cannot be given back has been closed by the pool.
                with suppress(*CONNECTION_ERRORS):
                    await self._pool.release(connection, timeout=_ACQUIRE_SECONDS)

    async def _replace_silent_connections(self, silent: Connection) -> None:
        """Close this connection, and those of its age before their next use: they are probably dead too."""
        await self._pool.expire_connections()
        # The end of a transaction may have closed it already.
        with suppress(asyncpg.InterfaceError):
            silent.terminate()

    async def _acquire(self) -> Connection:
        try:
            async with asyncio.timeout(_ACQUIRE_SECONDS):
                return await self._pool.acquire()
        except CONNECTION_ERRORS as error:
            raise DatabaseUnavailable(str(error) or type(error).__name__) from error

    def pool_use(self) -> tuple[int, int]:
        """Return how many connections the pool has open, and how many of them are in use."""
        size = self._pool.get_size()
        return size, size - self._pool.get_idle_size()

    async def close(self) -> None:
        """Close all connections."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._pool.close()
        except CONNECTION_ERRORS:
            self._pool.terminate()


def _transaction_on(connection: Connection) -> AbstractAsyncContextManager[None]:
    return _begun(connection, _TRANSACTION)


@asynccontextmanager
async def _begun(connection: Connection, begin: str) -> AsyncGenerator[None]:
    """Begin a transaction, and end it: nothing of it is left on the connection, or the connection is gone."""
    try:
        await connection.execute(begin)
        yield
        await connection.execute("COMMIT")
    except BaseException:
        await _roll_back(connection)
        raise


async def _roll_back(connection: Connection) -> None:
    try:
        async with asyncio.timeout(_ROLLBACK_SECONDS):
            await connection.execute("ROLLBACK")
    except CONNECTION_ERRORS:
        # What went wrong before is what counts.
        connection.terminate()
    except BaseException:
        connection.terminate()
        raise


async def _keep_as_it_is(connection: object) -> None:
    """Leave a connection that comes back to the pool as it is: we set nothing on one."""


@asynccontextmanager
async def open_database(
    url: str, *, pool_size: int = 10, behind_pooler: bool = False
) -> AsyncGenerator[Database]:
    """Yield a `Database` that is closed when the block ends; nothing connects before the first use.

    `url` is an address as libpq reads it. A connection that leaves a statement unanswered for 20 seconds is
    closed. The server ends a statement after 15 seconds, and
    a wait for a lock after 2. `behind_pooler` is for an address where each transaction may reach another
    server connection (PgBouncer's transaction mode): nothing is kept on a connection then, and the time
    limits are the database's own to set.
    """
    on_connection: dict[str, Any] = (
        {"statement_cache_size": 0}
        if behind_pooler
        else {"server_settings": dict(SERVER_SETTINGS), "max_cached_statement_lifetime": 0}
    )
    pool = asyncpg.create_pool(
        libpq_url(url),
        min_size=0,
        max_size=pool_size,
        max_queries=_MOST_STATEMENTS,
        timeout=_ACQUIRE_SECONDS,
        command_timeout=_COMMAND_SECONDS,
        reset=_keep_as_it_is,
        **on_connection,
    )
    await pool
    database = Database(url, pool, behind_pooler=behind_pooler)
    try:
        async with database.deliveries.running():
            yield database
    finally:
        await database.close()

"""The connection pool, with connections for single statements, snapshots, transactions and deliveries."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from types import TracebackType
from typing import Any
from uuid import UUID

import asyncpg

from db.batched_reads import BatchedReads
from db.deliveries import Deliveries
from db.kept_connections import KeptConnections
from db.outages import CONNECTION_ERRORS, DatabaseUnavailable, naming_outages
from db.server_watch import ServerWatch
from db.shares import REQUEST_CONNECTIONS, STREAM_CONNECTIONS, Shares
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
# Longer than the server's `statement_timeout`: a connection without a response for so long is dead.
_COMMAND_SECONDS = 20
_ROLLBACK_SECONDS = 5
_ACQUIRE_SECONDS = 10
_CLOSE_SECONDS = 10
# A connection is replaced after so many statements, to release the memory of its PostgreSQL process.
_MOST_STATEMENTS = 1_000_000
_EVERYTHING = nullcontext()


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, pool: KeptConnections, server: ServerWatch, *, behind_pooler: bool) -> None:
        """Use the pool of connections to `url`."""
        self.url = url
        self.server = server
        """Learns of each new connection which server it reaches. A pooler's may change later."""
        self.behind_pooler = behind_pooler
        self.deliveries = Deliveries(self._connected, self._one_statement, _transaction_on)
        self._pool = pool
        # Each holds a connection, so the size of the pool limits them.
        self._ending = set[asyncio.Task[None]]()
        self._stream_shares = Shares(STREAM_CONNECTIONS)
        self.batched_reads = BatchedReads(self._connected, self._one_statement, self._stream_shares)
        self._request_shares = Shares(REQUEST_CONNECTIONS, wait_seconds=_ACQUIRE_SECONDS)

    @asynccontextmanager
    async def connection(
        self, *, share_of: UUID | None = None, requests_of: UUID | None = None
    ) -> AsyncGenerator[Connection]:
        """Yield a connection for a single statement, which is its own transaction.

        It is one of the few that the streams of the user `share_of`, or the requests of the user
        `requests_of`, use at a time, see `db.shares`.

        Raises:
            DatabaseUnavailable: there is no connection, or it was lost. If it was lost while a statement was
                writing, it is unknown whether the statement has been committed.
        """
        async with (
            self._share(share_of, requests_of),
            self._connected() as connection,
            self._one_statement(connection),
        ):
            yield connection

    @asynccontextmanager
    async def transaction(self, *, requests_of: UUID | None = None) -> AsyncGenerator[Connection]:
        """Yield a connection in a READ COMMITTED transaction, which is committed unless the block raises.

        With `requests_of`, it is one of the few that the requests of this user use at a time.

        Raises:
            DatabaseUnavailable: there is no connection, or it was lost. If it was lost during the commit, it
                is unknown whether the transaction has been committed.
        """
        async with (
            self._share(None, requests_of),
            self._connected() as connection,
            _Transaction(connection, _TRANSACTION),
        ):
            yield connection

    @asynccontextmanager
    async def snapshot(
        self, *, share_of: UUID | None = None, requests_of: UUID | None = None
    ) -> AsyncGenerator[Connection]:
        """Yield a read-only connection on which all statements see the same state of the database.

        It is one of the few that the streams of the user `share_of`, or the requests of the user
        `requests_of`, use at a time, see `db.shares`.

        Raises:
            DatabaseUnavailable: there is no connection, or it was lost.
        """
        async with (
            self._share(share_of, requests_of),
            self._connected() as connection,
            _Transaction(connection, _SNAPSHOT),
        ):
            yield connection

    def end_later(self, opened: AbstractAsyncContextManager[Connection]) -> None:
        """Exit the context manager of a snapshot or connection in the background."""
        task = asyncio.create_task(_end(opened))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _share(self, streams_of: UUID | None, requests_of: UUID | None) -> AbstractAsyncContextManager[None]:
        if streams_of is not None:
            return self._stream_shares.of(streams_of)
        return _EVERYTHING if requests_of is None else self._request_shares.of(requests_of)

    def _one_statement(self, connection: Connection) -> AbstractAsyncContextManager[None]:
        # Behind a pooler, preparing and executing a statement must reach the same server connection.
        return _Transaction(connection, _TRANSACTION) if self.behind_pooler else _SingleStatement(connection)

    def _connected(self) -> "_Connected":
        return _Connected(self._pool)

    def pool_use(self) -> tuple[int, int]:
        """Return the number of open connections, and the number of those in use."""
        return self._pool.use()

    async def close(self) -> None:
        """Close all connections."""
        await self.batched_reads.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.gather(*self._ending)
                await self._pool.close()
        except CONNECTION_ERRORS:
            self._pool.terminate()


async def _end(opened: AbstractAsyncContextManager[Connection]) -> None:
    # Losing the connection now does not invalidate what was read.
    with suppress(DatabaseUnavailable):
        await opened.__aexit__(None, None, None)


# Almost every request uses these two. `asynccontextmanager` would take several times as long.
class _Connected:
    """A connection from the pool."""

    __slots__ = ("_lease", "_pool")

    def __init__(self, pool: KeptConnections) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        try:
            self._lease = await self._pool.acquire()
        except CONNECTION_ERRORS as error:
            raise DatabaseUnavailable(str(error) or type(error).__name__) from error
        return self._lease.connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._pool.keep(self._lease):
            return
        try:
            if isinstance(error, TimeoutError):
                await self._replace_silent_connections()
        finally:
            # The pool closes a connection that cannot be released.
            with suppress(*CONNECTION_ERRORS):
                await self._pool.release(self._lease)
        if isinstance(error, CONNECTION_ERRORS):
            with naming_outages():
                raise error

    async def _replace_silent_connections(self) -> None:
        """Close this connection, and all others before their next use: they are probably dead too."""
        await self._pool.expire()
        # The end of a transaction may have closed it already.
        with suppress(asyncpg.InterfaceError):
            self._lease.connection.terminate()


class _Transaction:
    """A transaction; a connection on which it cannot be rolled back is closed."""

    __slots__ = ("_begin", "_connection")

    def __init__(self, connection: Connection, begin: str) -> None:
        self._connection = connection
        self._begin = begin

    async def __aenter__(self) -> None:
        await self._execute(self._begin)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self._execute("COMMIT")
        else:
            await self._roll_back()

    async def _execute(self, statement: str) -> None:
        try:
            await self._connection.execute(statement)
        except BaseException:
            await self._roll_back()
            raise

    async def _roll_back(self) -> None:
        try:
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                await self._connection.execute("ROLLBACK")
        except CONNECTION_ERRORS:
            # The error before this one is raised.
            self._connection.terminate()
        except BaseException:
            self._connection.terminate()
            raise


class _SingleStatement(_Transaction):
    """A statement that is its own transaction.

    asyncpg prepares it without a Sync message. If it is then cancelled, or an argument cannot be encoded,
    PostgreSQL still has a transaction and its statement timeout, although asyncpg considers the connection
    idle.
    """

    __slots__ = ()

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, "")

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            await self._roll_back()


def _transaction_on(connection: Connection) -> AbstractAsyncContextManager[None]:
    return _Transaction(connection, _TRANSACTION)


async def _keep_as_it_is(connection: object) -> None:
    """Do not reset a connection that is released to the pool, because no session state is set on it."""


@asynccontextmanager
async def open_database(
    url: str, *, pool_size: int = 10, behind_pooler: bool = False
) -> AsyncGenerator[Database]:
    """Yield a `Database` that is closed when the block ends. It connects when it is first used.

    `url` is a libpq URL. PostgreSQL cancels a statement after 15 seconds, and waiting for a lock after 2. A
    connection that does not respond to a statement for 20 seconds is closed.

    With `behind_pooler`, each transaction may reach a different server connection (PgBouncer's transaction
    mode). Connections then keep no state between transactions, and the time limits of the database role apply
    instead.
    """
    server = ServerWatch()
    on_connection: dict[str, Any] = (
        {"statement_cache_size": 0}
        if behind_pooler
        else {
            "server_settings": dict(SERVER_SETTINGS),
            "max_cached_statement_lifetime": 0,
            "init": server.greet,
        }
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
    database = Database(url, KeptConnections(pool, _ACQUIRE_SECONDS), server, behind_pooler=behind_pooler)
    try:
        async with database.deliveries.running():
            yield database
    finally:
        await database.close()

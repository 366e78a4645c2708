"""The connection pool, and the two ways to use it: a snapshot to read from, a transaction to write in."""

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy import QueuePool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from db.urls import sqlalchemy_url

_DIRECT: Mapping[str, Any] = {
    "server_settings": {
        "application_name": "messenger",
        "timezone": "UTC",
        "statement_timeout": "15000",
        "idle_in_transaction_session_timeout": "60000",
    }
}
# Statements are prepared without a name, which lasts as long as the transaction does.
_BEHIND_POOLER: Mapping[str, Any] = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}


# What asyncpg raises when it cannot connect or its connection is lost; the last one when that happens just as
# it begins a statement.
CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresError,
    asyncpg.InternalClientError,
)


class DatabaseUnavailable(Exception):
    """The database does not answer: it is down, restarting, out of reach, or all connections are taken."""


class Database:
    """A pool of connections to one PostgreSQL."""

    def __init__(self, url: str, *, pool_size: int = 10, behind_pooler: bool = False) -> None:
        """Make the pool; nothing connects before the first use.

        `url` is an address as libpq reads it. A statement that takes longer than 15 seconds is ended by the
        server, and so is a wait for a lock. `behind_pooler` is for an address where each transaction may
        reach another server connection (PgBouncer's transaction mode): nothing is kept on a connection
        then, and the time limits are the database's own to set.
        """
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=True,
            # Errors are logged, and what people write is not.
            hide_parameters=True,
            connect_args={"timeout": 10, **(_BEHIND_POOLER if behind_pooler else _DIRECT)},
        )
        self._reading = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection]:
        """Yield a connection in a READ COMMITTED transaction, committed when the block ends well.

        Raises:
            DatabaseUnavailable: no connection is to be had, or it is lost. When it is lost while the
                transaction commits, nobody knows whether it did.
        """
        with naming_outages():
            async with self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[AsyncConnection]:
        """Yield a connection whose every statement sees the database as the first one did.

        Raises:
            DatabaseUnavailable: no connection is to be had, or it is lost.
        """
        with naming_outages():
            async with self._reading.connect() as connection:
                yield connection

    def pool_use(self) -> tuple[int, int]:
        """Return how many connections the pool has open, and how many of them are in use."""
        pool = self.engine.pool
        if not isinstance(pool, QueuePool):
            raise TypeError(f"{pool} does not count its connections")
        return pool.checkedin() + pool.checkedout(), pool.checkedout()

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


@contextmanager
def naming_outages() -> Generator[None]:
    """Raise what shows that the database does not answer as `DatabaseUnavailable`."""
    try:
        yield
    except (*CONNECTION_ERRORS, PoolTimeoutError) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error
    except DBAPIError as error:
        # Without a statement, it was connecting that failed.
        if error.connection_invalidated or error.statement is None or _is_shutdown(error):
            raise DatabaseUnavailable(str(error.orig)) from error
        raise


def _is_shutdown(error: DBAPIError) -> bool:
    """Say whether the server ended the connection: SQLSTATE class 08 or 57P."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return state.startswith(("08", "57P"))


@asynccontextmanager
async def open_database(
    url: str, *, pool_size: int = 10, behind_pooler: bool = False
) -> AsyncGenerator[Database]:
    """Yield a `Database` that is closed when the block ends."""
    database = Database(url, pool_size=pool_size, behind_pooler=behind_pooler)
    try:
        yield database
    finally:
        await database.close()

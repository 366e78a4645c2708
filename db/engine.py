"""The connection pool, and the two ways to use it: a snapshot to read from, a transaction to write in."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine


class Database:
    """A pool of connections to one PostgreSQL."""

    def __init__(self, url: str, *, pool_size: int = 10, statement_timeout_seconds: float = 15) -> None:
        """Make the pool; nothing connects before the first use.

        `url` is a SQLAlchemy URL for asyncpg. A statement that takes longer than the timeout is
        ended by the server, and so is a wait for a lock.
        """
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=True,
            connect_args={
                "timeout": 10,
                "server_settings": {
                    "application_name": "messenger",
                    "timezone": "UTC",
                    "statement_timeout": str(int(statement_timeout_seconds * 1000)),
                    "idle_in_transaction_session_timeout": "60000",
                },
            },
        )
        self._reading = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection]:
        """Yield a connection in a READ COMMITTED transaction, committed when the block ends well."""
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[AsyncConnection]:
        """Yield a connection whose every statement sees the database as the first one did."""
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


@asynccontextmanager
async def open_database(url: str, *, pool_size: int = 10) -> AsyncGenerator[Database]:
    """Yield a `Database` that is closed when the block ends."""
    database = Database(url, pool_size=pool_size)
    try:
        yield database
    finally:
        await database.close()

"""A database that a test may break."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from db.embedded import Cluster


class OwnDatabase:
    """A database for one test or module."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.url = cluster.url(name)
        self._name = name
        self._admin = create_async_engine(cluster.url(), isolation_level="AUTOCOMMIT")

    @classmethod
    async def create(cls, cluster: Cluster) -> "OwnDatabase":
        """Create an empty database in the cluster."""
        own = cls(cluster, f"own_{uuid4().hex}")
        await own._administer(f"CREATE DATABASE {own._name}")
        return own

    @asynccontextmanager
    async def without(self, table: str) -> AsyncGenerator[None]:
        """Make a table inaccessible while the block runs."""
        engine = create_async_engine(self.url, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(f"ALTER TABLE {table} RENAME TO mislaid"))
            try:
                yield
            finally:
                await connection.execute(text(f"ALTER TABLE mislaid RENAME TO {table}"))
        await engine.dispose()

    @asynccontextmanager
    async def away(self) -> AsyncGenerator[None]:
        """Close all connections and reject new ones while the block runs."""
        await self._administer(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        await self._administer(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'"
        )
        try:
            yield
        finally:
            await self._administer(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")

    async def _administer(self, statement: str) -> None:
        async with self._admin.connect() as connection:
            await connection.execute(text(statement))
        await self._admin.dispose()

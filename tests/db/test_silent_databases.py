"""A database that falls silent, like a fail-over that leaves old connections open."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from db.embedded import Cluster
from db.engine import Database, DatabaseUnavailable, open_database


class Forwarder:
    """Forwards a port of this machine to the server's socket."""

    def __init__(self, target: Path) -> None:
        self.port = 0
        self._target = target
        self._open: list[asyncio.Event] = []
        self._serving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator["Forwarder"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            yield self
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def go_silent(self) -> None:
        """Stop forwarding on the open connections without closing them."""
        for is_open in self._open:
            is_open.clear()
        self._open.clear()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._connect(reader, writer)))

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_unix_connection(self._target)
        is_open = asyncio.Event()
        is_open.set()
        self._open.append(is_open)
        try:
            with suppress(ConnectionError):
                await asyncio.gather(
                    self._forward(reader, to_there, is_open), self._forward(there, writer, is_open)
                )
        finally:
            for each in (writer, to_there):
                each.transport.abort()

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, is_open: asyncio.Event
    ) -> None:
        while chunk := await source.read(65536):
            await is_open.wait()
            target.write(chunk)
            await target.drain()
        target.close()


@asynccontextmanager
async def forwarding(cluster: Cluster) -> AsyncGenerator[tuple[Forwarder, Database]]:
    """Open the database through a forwarder, with all connections of its pool of two."""
    async with Forwarder(cluster.socket_dir / ".s.PGSQL.5432").listening() as forwarder:
        url = f"postgresql://postgres@127.0.0.1:{forwarder.port}/postgres"
        async with open_database(url, pool_size=2) as database:
            await asyncio.gather(*(use(database) for _ in range(2)))
            yield forwarder, database


async def use(database: Database) -> int:
    async with database.connection() as connection:
        return await connection.fetchval("SELECT 1 FROM pg_sleep(0.1)")


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"COMMAND": 2.5, "ROLLBACK": 0.5, "ACQUIRE": 2, "CLOSE": 0.5}.items():
        monkeypatch.setattr(f"db.engine._{name}_SECONDS", seconds)


async def test_silent_connections_are_replaced(cluster: Cluster, database: Database):
    async with forwarding(cluster) as (forwarder, through):
        forwarder.go_silent()
        async with asyncio.timeout(20):
            with pytest.raises(DatabaseUnavailable):
                await use(through)
            # The other connection, which is just as silent, is not tried.
            assert await asyncio.gather(*(use(through) for _ in range(4))) == [1] * 4


async def test_a_transaction_on_a_silent_connection_fails(cluster: Cluster, database: Database):
    async with forwarding(cluster) as (forwarder, through), asyncio.timeout(20):
        with pytest.raises(DatabaseUnavailable):
            async with through.transaction() as connection:
                await connection.execute("SELECT 1")
                forwarder.go_silent()
                await connection.execute("SELECT 2")
        assert await use(through) == 1


async def test_a_failed_statement_discards_its_silent_connection(cluster: Cluster, database: Database):
    async with forwarding(cluster) as (forwarder, through), asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="meanwhile"):
            async with through.snapshot():
                forwarder.go_silent()
                raise RuntimeError("meanwhile")
        assert through.pool_use() == (1, 0)

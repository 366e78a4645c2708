"""Connections that are kept between statements."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from db.embedded import Cluster
from db.engine import Database, open_database
from tests.support.serving import eventually

PID = "SELECT pg_backend_pid()"


@pytest.fixture
async def two(cluster: Cluster) -> AsyncGenerator[Database]:
    """A database with at most two connections."""
    async with open_database(cluster.url(), pool_size=2) as opened:
        yield opened


async def pid_of(database: Database) -> int:
    async with database.connection() as connection:
        return await connection.fetchval(PID)


async def test_a_released_connection_is_used_again_and_counts_as_idle(two: Database):
    first = await pid_of(two)
    assert two.pool_use() == (1, 0)
    async with two.connection() as connection:
        assert await connection.fetchval(PID) == first
        assert two.pool_use() == (1, 1)
        other = await pid_of(two)
        assert other != first
        assert two.pool_use() == (2, 1)
    # The one that was released last is the first to be used again.
    assert await pid_of(two) == first
    assert two.pool_use() == (2, 0)


async def test_callers_that_wait_for_a_connection_are_served_in_order(cluster: Cluster):
    served: list[int] = []

    async def takes(database: Database, number: int) -> None:
        async with database.connection() as connection:
            await connection.fetchval(PID)
            served.append(number)

    async with open_database(cluster.url(), pool_size=1) as one, asyncio.timeout(20):
        async with one.connection():
            waiting: list[asyncio.Task[None]] = []
            for number in range(6):
                waiting.append(asyncio.create_task(takes(one, number)))
                await asyncio.sleep(0)
        await asyncio.gather(*waiting)
    assert served == list(range(6))


async def test_a_connection_that_was_closed_while_it_was_kept_is_replaced(database: Database, two: Database):
    kept = await pid_of(two)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT pg_terminate_backend($1, 10000)", kept)
    await eventually(lambda: two.pool_use() == (0, 0))
    assert await pid_of(two) != kept


async def test_connections_that_have_not_been_used_for_long_are_closed(
    two: Database, monkeypatch: pytest.MonkeyPatch
):
    async with two.connection() as one, two.connection() as other:
        pids = {await each.fetchval(PID) for each in (one, other)}
    assert two.pool_use() == (2, 0)
    monkeypatch.setattr("db.kept_connections._IDLE_SECONDS", -1)
    assert await pid_of(two) not in pids
    assert two.pool_use() == (0, 0)


async def test_a_transaction_that_is_left_open_is_not_handed_to_the_next_caller(two: Database):
    async with two.connection() as connection:
        await connection.execute("BEGIN")
    async with two.connection() as connection:
        assert not connection.is_in_transaction()


async def test_a_connection_goes_through_the_pool_after_many_uses(
    two: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("db.kept_connections._MOST_USES", 3)
    pids = {await pid_of(two) for _ in range(10)}
    assert len(pids) == 1
    assert two.pool_use() == (1, 0)

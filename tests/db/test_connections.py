"""The pool: its connections return to it clean, or are replaced, whatever happens while they are in use."""

import asyncio
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random
from uuid import uuid4

import pytest
from asyncpg import DataError, UniqueViolationError
from sqlalchemy import text

from db import users
from db.engine import Database, DatabaseUnavailable, open_database
from db.statements import Connection, Statement
from tests.support.serving import eventually, eventually_async

Way = Callable[[Database], AbstractAsyncContextManager[Connection]]
WAYS: list[Way] = [Database.connection, Database.snapshot, Database.transaction]

_SESSION = """
    SELECT array_agg((name, setting)::text ORDER BY name) FROM pg_settings
    WHERE source IN ('session', 'client') AND name <> 'jit'
"""


async def is_running(database: Database, marker: str) -> None:
    query = """
        SELECT EXISTS (
            SELECT FROM pg_stat_activity WHERE query LIKE $1 AND state = 'active' AND pid <> pg_backend_pid()
        )
    """
    async with database.connection() as connection:
        await eventually_async(lambda: connection.fetchval(query, f"%{marker}%"))


@pytest.mark.parametrize("way", WAYS, ids=["connection", "snapshot", "transaction"])
async def test_a_cancelled_statement_leaves_nothing_behind(
    database: Database, way: Way, caplog: pytest.LogCaptureFixture
):
    async with open_database(database.url, pool_size=1) as single:
        async with single.connection() as connection:
            before = await connection.fetchval(_SESSION)
        marker = f"cancelled {uuid4()}"

        async def sleeps() -> None:
            async with way(single) as connection:
                await connection.execute(f"SELECT pg_sleep(60), '{marker}'")

        task = asyncio.create_task(sleeps())
        await is_running(database, marker)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(20), single.connection() as connection:
            assert not connection.is_in_transaction()
            assert await connection.fetchval("SELECT pg_current_xact_id_if_assigned()") is None
            assert await connection.fetchval(_SESSION) == before
            assert (
                await connection.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                )
                == 0
            )
    assert caplog.records == []


async def test_a_transaction_cancelled_at_any_moment_is_atomic(
    database: Database, caplog: pytest.LogCaptureFixture
):
    dice = Random(3)
    async with open_database(database.url, pool_size=2) as few:
        async with few.connection() as one, few.connection() as other:
            pids = [await each.fetchval("SELECT pg_backend_pid()") for each in (one, other)]
            await one.execute("CREATE TABLE halves (whole int)")

        async def halves(number: int) -> None:
            async with few.transaction() as connection:
                for _ in range(2):
                    await connection.execute("INSERT INTO halves VALUES ($1)", number)

        try:
            cancelled = list[bool]()
            async with asyncio.timeout(60):
                while len(cancelled) < 150 or len(set(cancelled)) == 1:
                    task = asyncio.create_task(halves(len(cancelled)))
                    # The delays grow until some transactions commit, however slow the machine is.
                    await asyncio.sleep(dice.uniform(0, 0.004 * (1 + len(cancelled) // 150)))
                    task.cancel()
                    # Sometimes cancel a second time, during the clean-up of the first.
                    if dice.random() < 0.3:
                        await asyncio.sleep(0)
                        task.cancel()
                    await asyncio.wait([task])
                    assert task.cancelled() or task.exception() is None
                    cancelled.append(task.cancelled())
            async with few.connection() as connection:
                counts = await connection.fetch("SELECT count(*) FROM halves GROUP BY whole")
                assert {row[0] for row in counts} == {2}
                assert not connection.is_in_transaction()
            async with database.connection() as connection:
                open_still = """
                    SELECT count(*) FROM pg_stat_activity
                    WHERE pid = ANY ($1::int[]) AND state LIKE 'idle in transaction%'
                """
                assert await connection.fetchval(open_still, pids) == 0
        finally:
            async with database.connection() as connection:
                await connection.execute("DROP TABLE halves")
    # The pool did not have to end a transaction itself.
    assert caplog.records == []


async def test_connections_closed_by_the_server_are_replaced(database: Database):
    async with open_database(database.url, pool_size=2) as few:
        async with few.connection() as one, few.connection() as other:
            pids = [await each.fetchval("SELECT pg_backend_pid()") for each in (one, other)]
        async with database.connection() as connection:
            for pid in pids:
                await connection.execute("SELECT pg_terminate_backend($1)", pid)
        await eventually(lambda: few.pool_use() == (0, 0))
        for way in WAYS:
            async with way(few) as connection:
                assert await connection.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("way", WAYS, ids=["connection", "snapshot", "transaction"])
async def test_a_connection_lost_during_use_counts_as_an_outage(database: Database, way: Way):
    async with open_database(database.url, pool_size=1) as single:
        with pytest.raises(DatabaseUnavailable):
            async with way(single) as connection:
                pid = await connection.fetchval("SELECT pg_backend_pid()")
                async with database.connection() as other:
                    await other.execute("SELECT pg_terminate_backend($1)", pid)
                async with asyncio.timeout(20):
                    while True:
                        await connection.fetchval("SELECT 1")
        async with way(single) as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_acquiring_from_an_exhausted_pool_times_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("db.engine._ACQUIRE_SECONDS", 0.2)
    async with open_database(database.url, pool_size=1) as single, single.transaction():
        assert single.pool_use() == (1, 1)
        with pytest.raises(DatabaseUnavailable):
            async with single.connection():
                raise AssertionError("there is one connection, and it is taken")


async def test_errors_do_not_contain_the_values_of_statements(database: Database):
    name = f"secret-{uuid4().hex[:12]}"
    async with database.transaction() as connection:
        await users.create(connection, name)
    add = Statement(text("INSERT INTO users (id, username) VALUES (gen_random_uuid(), :name)"))
    with pytest.raises(UniqueViolationError) as violation:
        async with database.connection() as connection:
            await add.execute(connection, name=name)
    wrong = Statement(text("SELECT CAST(:number AS int)"))
    with pytest.raises(DataError) as unfit:
        async with database.connection() as connection:
            await wrong.fetchval(connection, number=name)
    for error in (violation.value, unfit.value):
        assert name not in "".join(traceback.format_exception(error))


async def test_a_statement_rejects_missing_and_unknown_values(database: Database):
    statement = Statement(text("SELECT :one, :other"))
    async with database.connection() as connection:
        for values in ({"one": 1}, {"one": 1, "third": 3}, {"one": 1, "other": 2, "third": 3}):
            with pytest.raises((TypeError, KeyError)):
                await statement.fetch(connection, **values)


async def test_a_connection_is_clean_after_a_cancellation_while_a_statement_is_prepared(database: Database):
    """PostgreSQL has then begun a transaction that asyncpg does not know of."""
    async with open_database(database.url, pool_size=1) as small:
        for number in range(200):

            async def prepare(number: int = number) -> None:
                async with small.connection() as connection:
                    await connection.fetch(f"SELECT {number}, count(*) FROM pg_class")

            task = asyncio.create_task(prepare())
            await asyncio.sleep(number % 20 / 10_000)
            task.cancel()
            await asyncio.wait([task])
            async with small.snapshot() as connection:
                assert await connection.fetchval("SELECT 1") == 1


async def test_a_connection_is_clean_after_an_argument_that_cannot_be_encoded(database: Database):
    async with open_database(database.url, pool_size=1) as small:
        with pytest.raises(DataError):
            async with small.connection() as connection:
                await connection.fetch("SELECT $1::int", 2**40)
        async with small.snapshot() as connection:
            assert await connection.fetchval("SELECT 1") == 1

"""Callers that read at the same time share a statement, and each has its own outcome."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, nullcontext

import asyncpg
import pytest
from asyncpg import DivisionByZeroError

from db.batching import Batching
from db.engine import Database, DatabaseUnavailable
from db.outages import naming_outages
from db.statements import Connection
from db.urls import libpq_url
from tests.support.serving import eventually_async

# Reading a number waits while another connection has locked it.
_QUOTIENTS = """
    SELECT 100 / n AS quotient, pg_advisory_xact_lock_shared(n)
    FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (n, nth) ORDER BY nth
"""


class Quotients:
    """A connection pool, what 100 divided by numbers is, and the batches in which that was read."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.pool = pool
        self.batches: list[Sequence[int]] = []
        self.is_reachable = True
        self.batching = Batching(self.connected, lambda _: nullcontext(), self.quotients, name="quotients")
        self.read = self.batching.read

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Connection]:
        if not self.is_reachable:
            # Others may come before this is known.
            await asyncio.sleep(0)
            raise DatabaseUnavailable("nobody is there")
        with naming_outages():
            async with self.pool.acquire() as connection:
                yield connection

    async def quotients(self, connection: Connection, asked: Sequence[int]) -> Sequence[int]:
        self.batches.append(asked)
        return [row["quotient"] for row in await connection.fetch(_QUOTIENTS, asked)]

    async def all_of(self, *asked: int) -> list[int | BaseException]:
        return await asyncio.gather(*map(self.read, asked), return_exceptions=True)


class Lock:
    """A number that is locked."""

    def __init__(self, database: Database, number: int) -> None:
        self._database = database
        self._number = number

    async def waiting(self) -> list[int]:
        """Return the processes of PostgreSQL that wait for the number."""
        async with self._database.connection() as connection:
            found = await connection.fetch(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted",
                self._number,
            )
        return [row["pid"] for row in found]

    async def is_awaited(self) -> bool:
        return bool(await self.waiting())


@asynccontextmanager
async def locked(database: Database, number: int) -> AsyncGenerator[Lock]:
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", number)
        yield Lock(database, number)


@pytest.fixture
async def quotients(database: Database) -> AsyncGenerator[Quotients]:
    async with asyncpg.create_pool(libpq_url(database.url), min_size=1, max_size=5) as pool:
        quotients = Quotients(pool)
        yield quotients
        await quotients.batching.close()


def text_of(outcome: int | BaseException) -> str:
    return type(outcome).__name__ if isinstance(outcome, BaseException) else str(outcome)


async def test_a_single_caller_is_answered_by_a_statement_of_its_own(quotients: Quotients):
    assert [await quotients.read(n) for n in (1, 2, 4)] == [100, 50, 25]
    assert quotients.batches == [[1], [2], [4]]


async def test_simultaneous_callers_share_statements_of_bounded_size(quotients: Quotients):
    asked = list(range(1, 101))
    assert await quotients.all_of(*asked) == [100 // n for n in asked]
    assert quotients.batches == [asked[:32], asked[32:64], asked[64:96], asked[96:]]


async def test_those_who_come_one_turn_of_the_event_loop_after_another_share_a_statement(
    quotients: Quotients,
):
    reads: list[asyncio.Task[int]] = []
    for n in range(1, 11):
        reads += [asyncio.ensure_future(quotients.read(each)) for each in (2 * n - 1, 2 * n)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*reads) == [100 // n for n in range(1, 21)]
    assert quotients.batches == [list(range(1, 21))]


async def test_of_those_who_share_a_statement_only_the_one_that_fails_gets_an_error(quotients: Quotients):
    outcomes = await quotients.all_of(5, 0, 10, 0, 20)
    assert [text_of(each) for each in outcomes] == [
        "20",
        "DivisionByZeroError",
        "10",
        "DivisionByZeroError",
        "5",
    ]
    with pytest.raises(DivisionByZeroError):
        await quotients.read(0)
    assert await quotients.read(50) == 2


async def test_a_caller_that_gives_up_affects_no_other(quotients: Quotients, database: Database):
    async with asyncio.timeout(30):
        async with locked(database, 3) as lock:
            reads = [asyncio.ensure_future(quotients.read(n)) for n in (3, 4, 5)]
            await eventually_async(lock.is_awaited)
            reads[0].cancel()
            later = [asyncio.ensure_future(quotients.read(n)) for n in (10, 20)]
            await asyncio.sleep(0)
            later[0].cancel()
        assert await asyncio.gather(*reads[1:], later[1]) == [25, 20, 5]
    assert all(10 not in batch for batch in quotients.batches)


async def test_a_statement_that_takes_long_holds_up_no_other(quotients: Quotients, database: Database):
    async with asyncio.timeout(30):
        async with locked(database, 7) as first, locked(database, 8) as second:
            slow = asyncio.ensure_future(quotients.read(7))
            await eventually_async(first.is_awaited)
            slow_too = asyncio.ensure_future(quotients.read(8))
            await eventually_async(second.is_awaited)
            assert await quotients.read(50) == 2
        assert await asyncio.gather(slow, slow_too) == [14, 12]


async def test_all_who_share_a_lost_connection_are_told_and_the_next_ones_are_read(
    quotients: Quotients, database: Database
):
    async with asyncio.timeout(30):
        async with locked(database, 9) as lock:
            reads = asyncio.ensure_future(quotients.all_of(9, 10))
            await eventually_async(lock.is_awaited)
            async with database.connection() as connection:
                for process in await lock.waiting():
                    await connection.execute("SELECT pg_terminate_backend($1)", process)
            outcomes = await reads
        assert [text_of(each) for each in outcomes] == ["DatabaseUnavailable"] * 2
        # Two callers that raised the same exception would add to each other's tracebacks.
        assert outcomes[0] is not outcomes[1]
        assert await quotients.read(20) == 5


async def test_all_who_wait_for_a_connection_that_cannot_be_had_are_told(quotients: Quotients):
    quotients.is_reachable = False
    async with asyncio.timeout(30):
        outcomes = await quotients.all_of(*range(1, 101))
    assert {text_of(each) for each in outcomes} == {"DatabaseUnavailable"}
    quotients.is_reachable = True
    assert await quotients.read(20) == 5


async def test_closing_rejects_whoever_waits_and_whoever_comes_later(
    quotients: Quotients, database: Database
):
    async with asyncio.timeout(30), locked(database, 11) as lock:
        reads = asyncio.ensure_future(quotients.all_of(11, 12))
        await eventually_async(lock.is_awaited)
        await quotients.batching.close()
        assert [text_of(each) for each in await reads] == ["DatabaseUnavailable"] * 2
        with pytest.raises(DatabaseUnavailable):
            await quotients.read(1)

"""The counts of rate limits, in a process and in the database."""

from datetime import timedelta
from uuid import uuid4

import pytest
from limits import RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from sqlalchemy import update

from db.engine import Database
from db.tables import rate_counts
from server.limits.rate_storage import DatabaseCounts, ProcessCounts
from tests.support.tables import tables


@pytest.mark.parametrize("kind", ["process", "database"])
async def test_counts_start_again_when_their_period_is_over(database: Database, kind: str):
    storage: Storage = ProcessCounts() if kind == "process" else DatabaseCounts(database)
    limiter, item, whose = FixedWindowRateLimiter(storage), RateLimitItemPerMinute(2), uuid4().hex
    assert [await limiter.hit(item, whose) for _ in range(3)] == [True, True, False]
    assert await limiter.hit(item, "another", uuid4().hex)
    key = item.key_for(whose)
    assert await storage.get(key) == 3
    if kind == "database":
        async with tables(database) as connection:
            past = update(rate_counts).where(rate_counts.c.key == key)
            await connection.execute(past.values(expires_at=rate_counts.c.expires_at - timedelta(minutes=1)))
    else:
        await storage.clear(key)
    assert await storage.get(key) == 0
    assert [await limiter.hit(item, whose) for _ in range(3)] == [True, True, False]
    await storage.clear(key)
    assert await limiter.hit(item, whose)
    await storage.reset()
    assert await storage.check()


async def test_the_number_of_counts_in_a_process_is_limited():
    storage = ProcessCounts()
    for number in range(100_010):
        await storage.incr(str(number), 60)
    assert (await storage.get("0"), await storage.get("100009")) == (0, 1)
    assert await storage.reset() == 100_000

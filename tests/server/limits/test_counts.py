"""Rates are counted in a process, or in the database for all processes together."""

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from limits import RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from sqlalchemy import update

from db.embedded import Cluster
from db.engine import Database
from db.tables import rate_counts
from server.limits.rate_storage import DatabaseCounts, ProcessCounts
from tests.conftest import sign_in
from tests.server.limits.test_limits import limited
from tests.support.clients import http_client
from tests.support.people import CREATE_MESSAGE, Person
from tests.support.tables import tables


async def test_several_workers_count_messages_and_sign_ins_together(
    cluster: Cluster, database: Database, tmp_path: Path
):
    """Otherwise, each of the four would allow as many."""
    limits = {"messages_per_minute_per_user": "5", "sign_ins_per_minute_per_address": "7"}
    async with limited(cluster, tmp_path, workers="4", **limits) as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        conversation = await ada.opens_conversation_with(grace)
        given = {"conversationId": conversation, "content": "hello"}

        async def send() -> bool:
            # Uses a connection each, so that all workers get some.
            async with http_client(http.base_url) as own:
                return "errors" not in await Person(ada.username, ada.token, own).answer(
                    CREATE_MESSAGE, input=given
                )

        async def try_to_sign_in() -> bool:
            async with http_client(http.base_url, headers=dict(http.headers)) as own:
                return (await own.post("/auth/dev/login", json={})).status_code == 400

        assert sum(await asyncio.gather(*(send() for _ in range(40)))) == 5
        assert sum(await asyncio.gather(*(try_to_sign_in() for _ in range(40)))) == 5


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

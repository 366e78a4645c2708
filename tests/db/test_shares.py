"""The streams and requests of one user leave connections for other users."""

import asyncio
from uuid import uuid4

import pytest

from db.engine import Database, DatabaseUnavailable, open_database
from db.shares import REQUEST_CONNECTIONS, STREAM_CONNECTIONS, Shares
from tests.conftest import PersonMaker


@pytest.mark.parametrize(
    ("use", "connections"),
    [("share_of", STREAM_CONNECTIONS), ("requests_of", REQUEST_CONNECTIONS)],
    ids=["streams", "requests"],
)
async def test_a_user_leaves_connections_for_others(
    database: Database, person: PersonMaker, use: str, connections: int
):
    ada, grace = await person("ada"), await person("grace")
    reading = most = 0
    released, full = asyncio.Event(), asyncio.Event()
    async with open_database(database.url, pool_size=connections + 2) as small:

        async def read(number: int) -> None:
            nonlocal reading, most
            kind = small.connection if number % 2 else small.snapshot
            async with kind(**{use: ada.id}):
                reading += 1
                most = max(most, reading)
                if reading == connections:
                    full.set()
                await released.wait()
                reading -= 1

        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(read(number))
            async with small.snapshot(**{use: grace.id}) as one, small.connection() as other:
                assert [await each.fetchval("SELECT 1") for each in (one, other)] == [1, 1]
            await full.wait()
            released.set()
    assert most == connections


async def test_a_share_is_forgotten_when_its_user_has_no_use_for_it():
    shares = Shares(STREAM_CONNECTIONS)
    ada, grace = uuid4(), uuid4()

    async def use() -> None:
        async with shares.of(ada):
            await asyncio.Event().wait()

    users = [asyncio.create_task(use()) for _ in range(5)]
    await asyncio.sleep(0)
    async with shares.of(grace):
        assert len(shares) == 2
    assert len(shares) == 1
    while users:
        users[-1].cancel()
        await asyncio.wait([users.pop()])
    assert len(shares) == 0
    async with asyncio.timeout(20), shares.of(ada), shares.of(ada):
        assert len(shares) == 1


async def test_a_request_waits_for_a_limited_time_and_leaves_the_queue():
    shares, ada = Shares(1, wait_seconds=0.05), uuid4()
    async with shares.of(ada):
        with pytest.raises(DatabaseUnavailable):
            async with shares.of(ada):
                raise AssertionError("two tasks use one connection")
    async with asyncio.timeout(20), shares.of(ada):
        pass

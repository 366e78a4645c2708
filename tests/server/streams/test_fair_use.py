"""The streams of one user do not keep other users from the database."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.support.serving import running_server
from tests.support.tables import tables

STREAMS = 60


# The first is read before an event is executed, the second by its resolvers.
@pytest.mark.parametrize("table", ["participants", "conversations"])
async def test_other_users_are_served_while_the_streams_of_one_wait_for_the_database(
    cluster: Cluster, database: Database, tmp_path: Path, table: str
):
    settings = {"database_url": cluster.url(), "database_pool_size": "4"}
    with running_server(tmp_path, **settings) as server:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as http:
            ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
            conversation = await ada.opens_conversation_with(grace)
            start = await ada.inbox_cursor()
            await grace.sends("hello", to=conversation)
            async with AsyncExitStack() as stack, tables(database) as connection:
                await connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
                async with asyncio.timeout(60), asyncio.TaskGroup() as opening:
                    for _ in range(STREAMS):
                        opening.create_task(stack.enter_async_context(ada.listening(after=start)))
                # A statement waits for two seconds for a lock. If all four connections waited, 60
                # streams would take half a minute.
                async with asyncio.timeout(12):
                    for _ in range(3):
                        assert (await grace.asks("{ viewer { username } }"))["viewer"]["username"]


async def test_other_users_are_served_while_the_reservations_of_one_wait_for_the_database(
    cluster: Cluster, database: Database, tmp_path: Path
):
    settings = {"database_url": cluster.url(), "database_pool_size": "6"}
    with running_server(tmp_path, **settings) as server:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as http:
            ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
            async with tables(database) as connection, asyncio.timeout(60), asyncio.TaskGroup() as tasks:
                await connection.execute(text("LOCK TABLE reservations IN ACCESS EXCLUSIVE MODE"))
                reserving = [tasks.create_task(http.put("/graphql", headers=ada.headers)) for _ in range(60)]
                # A statement waits for two seconds for a lock. If all six connections waited, 60
                # reservations would take twenty seconds.
                async with asyncio.timeout(12):
                    for _ in range(3):
                        assert (await grace.asks("{ viewer { username } }"))["viewer"]["username"]
                for each in reserving:
                    each.cancel()

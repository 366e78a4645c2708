"""The streams of one user do not keep other users from the database."""

import asyncio
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.support.serving import eventually, eventually_async, running_server
from tests.support.tables import tables

STREAMS = 60
REQUESTS = "messenger_http_requests_in_progress"


async def waits_for_locks(database: Database) -> bool:
    """Return whether a statement waits for a table."""
    async with database.connection() as connection:
        query = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'relation' AND NOT granted)"
        return await connection.fetchval(query)


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

            async def listens() -> None:
                """Listen, and come back whenever the server cannot read what was missed."""
                while True:
                    with suppress(AssertionError):
                        async with ada.listening(after=start):
                            await asyncio.Event().wait()

            async with tables(database) as connection, asyncio.timeout(60), asyncio.TaskGroup() as tasks:
                await connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
                listening = [tasks.create_task(listens()) for _ in range(STREAMS)]
                await eventually_async(lambda: waits_for_locks(database))
                # Most of the others wait too. Some are coming back.
                await eventually(lambda: server.metric(REQUESTS) > STREAMS / 2)
                # A statement waits for two seconds for a lock. If all four connections waited, 60
                # streams would take half a minute.
                async with asyncio.timeout(12):
                    for _ in range(3):
                        assert (await grace.asks("{ viewer { username } }"))["viewer"]["username"]
                for each in listening:
                    each.cancel()


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

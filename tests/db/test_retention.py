"""How long inboxes keep their entries, and what happens to a reader who returns later."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import create_async_engine

from db import conversations, inboxes, users
from db.embedded import Cluster
from db.engine import Database, open_database
from db.migrations import migrate
from db.retention import trim_batch
from db.tables import inbox_entries, messages
from resolvers import retention
from tests.conftest import sign_in
from tests.support.clients import http_client
from tests.support.people import Person
from tests.support.serving import run_command, running_server
from tests.support.tables import tables

AGE = timedelta(days=40)
KEEP = timedelta(days=30)


@pytest.fixture
async def own_database(cluster: Cluster) -> AsyncGenerator[str]:
    """A database that a test can trim without affecting others."""
    name = f"trimmed_{uuid4().hex}"
    engine = create_async_engine(cluster.url(), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    await engine.dispose()
    yield cluster.url(name)


async def ages(database: Database, conversation_messages: list[str], by: timedelta) -> None:
    """Set back the creation time of these messages."""
    async with tables(database) as connection:
        await connection.execute(
            update(messages)
            .where(messages.c.content.in_(conversation_messages))
            .values(created_at=messages.c.created_at - by)
        )


async def kept(database: Database) -> int:
    async with tables(database) as connection:
        return (await connection.execute(select(func.count()).select_from(inbox_entries))).scalar_one()


def code(answer: dict[str, list[dict[str, dict[str, str]]]]) -> str:
    return answer["errors"][0]["extensions"]["code"]


async def test_old_entries_are_trimmed_and_a_reader_behind_them_gets_an_error(
    own_database: str, tmp_path: Path
):
    with running_server(tmp_path, database_url=own_database) as server:
        async with (
            http_client(server.url) as http,
            open_database(own_database) as database,
        ):
            ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
            conversation = await ada.opens_conversation_with(grace)
            start = await grace.inbox_cursor()
            old = [f"old {number}" for number in range(450)]
            for content in old:
                await ada.sends(content, to=conversation)
            middle = await grace.inbox_cursor()
            await ada.sends("new", to=conversation)
            await ages(database, old, AGE)
            done = run_command(tmp_path, "trim", database_url=own_database)
            assert done.stdout == "900 inbox entries deleted.\n", done
            assert await kept(database) == 2
            async with grace.listening(after=start) as stream:
                assert code(await stream.answer()) == "CURSOR_EXPIRED"
            async with grace.listening(after=middle) as heard:
                assert await heard.contents(1) == ["new"]
            # The messages themselves are all kept.
            query = """
                query ($id: ID!) {
                    conversation(id: $id) { messages(first: 1) { edges { node { content } } } }
                }
            """
            page = (await grace.asks(query, id=conversation))["conversation"]["messages"]
            assert page["edges"][0]["node"]["content"] == "old 0"
            assert run_command(tmp_path, "renew-epoch", database_url=own_database).returncode == 0
            async with grace.listening(after=middle) as stream:
                assert code(await stream.answer()) == "CURSOR_EXPIRED"


async def test_trimming_does_not_disturb_concurrent_readers_and_writers(own_database: str, tmp_path: Path):
    with running_server(tmp_path, database_url=own_database) as server:
        async with (
            http_client(server.url) as http,
            open_database(own_database) as database,
        ):
            people = [await sign_in(http, f"p{number}") for number in range(4)]
            rooms = [
                (one, await one.opens_conversation_with(other))
                for one in people
                for other in people
                if one is not other
            ]

            async def write(author: Person, room: str) -> None:
                for number in range(15):
                    await author.sends(f"{author.username} {room} {number}", to=room)

            async with people[0].listening(include_mine=True) as heard:
                writing = asyncio.gather(*(write(author, room) for author, room in rooms))
                seen: list[str] = []
                dropped = 0
                while len(seen) < 6 * 15:
                    # What she has received becomes old immediately; what she has not received is never
                    # trimmed.
                    seen += await heard.contents(10)
                    await ages(database, seen[-10:], AGE)
                    dropped += await retention.trim(database, KEEP)
                await writing
            assert len(set(seen)) == 6 * 15
            async with tables(database) as connection:
                young = messages.c.created_at > datetime.now(UTC) - KEEP
                query = (
                    select(func.count())
                    .select_from(inbox_entries.join(messages, messages.c.id == inbox_entries.c.message_id))
                    .where(young)
                )
                assert (await connection.execute(query)).scalar_one() == 6 * 15 * 2
            # At least her own inbox, where everything was old.
            assert dropped >= 6 * 15


async def test_only_one_process_trims_at_a_time(own_database: str):
    async with open_database(own_database) as database:
        await migrate(database)
        async with database.transaction() as connection:
            ada, grace = await users.create(connection, "ada"), await users.create(connection, "grace")
            room, _ = await conversations.open_pair(connection, ada.id, grace.id)
            await inboxes.deliver(connection, room, ada.id, "old")
        async with database.transaction() as connection:
            long_ago = datetime.now(UTC) - AGE
            assert await trim_batch(connection, before=long_ago, after=UUID(int=0)) is not None
            # That transaction stands for another process that is trimming.
            assert await retention.trim(database, timedelta(0)) == 0
        assert await retention.trim(database, timedelta(0)) == 2

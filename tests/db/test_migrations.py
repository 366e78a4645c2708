"""Migrations can be applied, reverted, and started by many processes at once; they match the tables."""

import asyncio

import pytest
import structlog
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, func, inspect, select
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import command
from db import users
from db.embedded import Cluster
from db.engine import Database
from db.ids import new_id
from db.migrations import UnknownSchema, configuration, migrate
from db.tables import inbox_epoch, metadata
from db.urls import sqlalchemy_url
from tests.db import version_before
from tests.support.serving import eventually_async
from tests.support.tables import tables


def tables_in(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


async def test_eight_processes_can_migrate_at_once(cluster: Cluster, empty_database: Database):
    await asyncio.gather(*(migrate(empty_database) for _ in range(8)))
    async with tables(empty_database) as connection:
        assert await connection.run_sync(tables_in) == set(metadata.tables)
        assert await connection.scalar(select(func.count()).select_from(inbox_epoch)) == 1


async def test_migrations_can_be_reverted_and_reapplied_without_drift(empty_database: Database):
    await migrate(empty_database)
    config = configuration()

    def down_up_and_check(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert tables_in(connection) == set()
        # A migration manages its own transactions.
        connection.rollback()
        command.upgrade(config, "head")
        # Raises if the tables and the migrations differ.
        command.check(config)

    engine = create_async_engine(sqlalchemy_url(empty_database.url), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(down_up_and_check)


async def test_revisions_are_numbered_without_gaps():
    """Then a later number is a newer version's."""
    revisions = sorted(
        each.revision for each in ScriptDirectory.from_config(configuration()).walk_revisions()
    )
    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]


async def test_a_migration_is_logged_once_with_the_revisions_before_and_after_it(empty_database: Database):
    with structlog.testing.capture_logs() as logged:
        await migrate(empty_database, "0005")
        assert logged == [], "no migration of existing data"
        await migrate(empty_database, "0006")
        await migrate(empty_database, "0006")
    assert logged == [
        {
            "event": "database migrated",
            "log_level": "info",
            "from_revision": "0005",
            "to_revision": "0006",
        }
    ]


async def test_a_schema_of_a_newer_version_is_left_as_it_is(empty_database: Database):
    await migrate(empty_database)
    await stamp(empty_database, "9999")
    with structlog.testing.capture_logs() as logged:
        await migrate(empty_database)
    assert [(line["event"], line["revision"]) for line in logged] == [
        ("database schema newer than this version", "9999")
    ]
    async with empty_database.connection() as connection:
        await users.create(connection, "ada")
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == "9999"


@pytest.mark.parametrize("revision", ["0000", "ae1027a6acf", "10000"])
async def test_a_schema_of_another_program_is_rejected(empty_database: Database, revision: str):
    await migrate(empty_database)
    await stamp(empty_database, revision)
    with pytest.raises(UnknownSchema, match=f"unknown revision {revision};"):
        await migrate(empty_database)


async def stamp(database: Database, revision: str) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE alembic_version SET version_num = $1", revision)


async def test_messages_can_be_sent_while_an_index_is_built_and_an_interrupted_build_is_resumed(
    empty_database: Database,
):
    await migrate(empty_database, "0005")
    async with empty_database.transaction() as connection:
        ada, grace = [await users.create(connection, name) for name in ("ada", "grace")]
        conversation = new_id()
        await connection.execute("INSERT INTO conversations (id) VALUES ($1)", conversation)
        await connection.execute(
            "INSERT INTO participants (conversation_id, user_id) SELECT $1, unnest($2::uuid[])",
            conversation,
            [ada.id, grace.id],
        )
    message = version_before.Sent(conversation, ada.id, "sent meanwhile")
    async with empty_database.snapshot() as older:
        await older.execute("SELECT FROM messages")
        # It waits for the older snapshot.
        migrating = asyncio.create_task(migrate(empty_database, "0006"))
        await has_index(empty_database, is_valid=False)
        async with empty_database.connection() as connection:
            assert len(await version_before.send(connection, message)) == 2
        migrating.cancel()
        await asyncio.wait([migrating])
        await has_index(empty_database, is_valid=False)
    await asyncio.gather(*(migrate(empty_database, "0006") for _ in range(3)))
    await has_index(empty_database, is_valid=True)
    async with empty_database.connection() as connection:
        assert len(await version_before.send(connection, message)) == 2


async def has_index(database: Database, *, is_valid: bool) -> None:
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('inbox_entries_message_id_idx')"
    async with database.connection() as connection:

        async def is_so() -> bool:
            return await connection.fetchval(query) is is_valid

        await eventually_async(is_so)

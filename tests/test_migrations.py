"""Migrations go up and down, agree with the tables, and may be started by many at once."""

import asyncio
from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest
from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import command
from db.embedded import Cluster
from db.engine import Database, open_database
from db.migrations import configuration, migrate
from db.tables import inbox_epoch, metadata
from tests.tables import tables


@pytest.fixture
async def empty_database(cluster: Cluster) -> AsyncGenerator[Database]:
    name = f"empty_{uuid4().hex}"
    engine = create_async_engine(cluster.url(), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    await engine.dispose()
    async with open_database(cluster.url(name)) as database:
        yield database


def tables_in(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


async def test_eight_processes_may_migrate_at_once(cluster: Cluster, empty_database: Database):
    await asyncio.gather(*(migrate(empty_database) for _ in range(8)))
    async with tables(empty_database) as connection:
        assert await connection.run_sync(tables_in) == set(metadata.tables)
        assert await connection.scalar(select(func.count()).select_from(inbox_epoch)) == 1


async def test_migrations_go_down_and_up_again_and_leave_no_drift(empty_database: Database):
    await migrate(empty_database)
    config = configuration()

    def down_up_and_check(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert tables_in(connection) == set()
        command.upgrade(config, "head")
        # Raises when the tables and the migrations differ.
        command.check(config)

    async with tables(empty_database) as connection:
        await connection.run_sync(down_up_and_check)

"""Migrating a database to the newest schema."""

import asyncio
import re
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, event
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import command
from db.engine import Database, naming_outages
from db.urls import sqlalchemy_url

log = structlog.stdlib.get_logger(__name__)

# Any number that no other program uses for an advisory lock. Its holder migrates, and other processes wait.
_MIGRATION_LOCK = 7_463_901_225_120
_ASK_AGAIN_SECONDS = 0.1
_REVISION = re.compile(r"[0-9]{4}")
_NO_TIME_LIMITS = {"statement_timeout": "0", "lock_timeout": "0"}
# Alembic uses SQLAlchemy's connections. Prepared statements are off, because there may be a pooler.
_CONNECT: dict[str, Any] = {
    "timeout": 10,
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}


class UnknownSchema(Exception):
    """The schema of the database belongs neither to a known version nor to a newer one."""


def configuration() -> Config:
    """Return Alembic's configuration: `alembic/` in the installed `db` package, or in the checkout."""
    here = Path(__file__).parent
    folder = next(path for path in (here / "alembic", here.parent / "alembic") if path.is_dir())
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


async def migrate(database: Database, revision: str = "head") -> None:
    """Migrate the database to the revision.

    Several processes may call this at the same time: one of them migrates while the others wait. If the
    schema belongs to a newer version, it is not changed and a warning is logged; this version works with the
    schema of the next one. That an older schema has been migrated is logged too. Behind a pooler, statements
    outside a transaction (building an index concurrently) are subject to the time limits of the database
    role.

    Raises:
        DatabaseUnavailable: the database does not respond, or rejects the connection.
        UnknownSchema: the revision is neither known nor later than the newest known one.
    """
    connect_args = _CONNECT if database.behind_pooler else {**_CONNECT, "server_settings": _NO_TIME_LIMITS}
    engine = create_async_engine(
        sqlalchemy_url(database.url), poolclass=NullPool, hide_parameters=True, connect_args=connect_args
    )
    with naming_outages():
        async with _locked(database), engine.connect() as connection:
            await connection.run_sync(_upgrade, revision)


@asynccontextmanager
async def _locked(database: Database) -> AsyncGenerator[None]:
    """Hold the migration lock while the block runs.

    The lock belongs to an open transaction, because session locks do not work through a pooler. It is polled:
    a statement that waits for it would hold a snapshot, and building an index concurrently waits for all
    older snapshots.
    """
    while True:
        async with database.transaction() as connection:
            if await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _MIGRATION_LOCK):
                # This comes last, because it also ends the previous query, and with it that query's snapshot.
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                yield
                return
        await asyncio.sleep(_ASK_AGAIN_SECONDS)


def _upgrade(connection: Connection, revision: str) -> None:
    event.listen(connection, "begin", _lift_time_limit)
    config = configuration()
    revisions = MigrationContext.configure(connection).get_current_heads()
    # Each migration begins and ends its own transactions.
    connection.rollback()
    if _is_newer(revisions, ScriptDirectory.from_config(config)):
        return
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    migrated = MigrationContext.configure(connection).get_current_heads()
    connection.rollback()
    if revisions and migrated != revisions:
        log.info("database migrated", from_revision=max(revisions), to_revision=max(migrated))


def _is_newer(revisions: Collection[str], scripts: ScriptDirectory) -> bool:
    """Return whether the schema belongs to a newer version of the program.

    Revisions are numbered 0001, 0002, ... without gaps, so a higher number is a later migration.

    Raises:
        UnknownSchema: the schema belongs to no version.
    """
    known = {script.revision for script in scripts.walk_revisions()}
    if known.issuperset(revisions):
        return False
    newest = max(known)
    if not all(_REVISION.fullmatch(revision) and revision > newest for revision in revisions):
        raise UnknownSchema(
            f"its schema has the unknown revision {', '.join(revisions)};"
            " use a database that belongs to Messenger alone"
        )
    log.warning("database schema newer than this version", revision=max(revisions), newest_known=newest)
    return True


def _lift_time_limit(connection: Connection) -> None:
    """Remove the time limit for statements in the transaction. This also works behind a pooler."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")

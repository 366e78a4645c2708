"""Bringing a database to the newest schema."""

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

# Any number that no other program locks with: the process that holds it migrates, the others wait.
_MIGRATION_LOCK = 7_463_901_225_120
_ASK_AGAIN_SECONDS = 0.1
_REVISION = re.compile(r"[0-9]{4}")
_NO_TIME_LIMITS = {"statement_timeout": "0", "lock_timeout": "0"}
# Alembic works with SQLAlchemy's connections, and nothing is kept on one that may be a pooler's.
_CONNECT: dict[str, Any] = {
    "timeout": 10,
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}


class UnknownSchema(Exception):
    """The database has a schema that is neither one of this version's nor a newer version's."""


def configuration() -> Config:
    """Return Alembic's configuration: `alembic/` in the installed `db` package, or in the checkout."""
    here = Path(__file__).parent
    folder = next(path for path in (here / "alembic", here.parent / "alembic") if path.is_dir())
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


async def migrate(database: Database, revision: str = "head") -> None:
    """Bring the database up to the revision.

    Many processes may call this at once: an advisory lock lets one migrate while the others wait for it
    and then find nothing to do. A schema that a newer version has brought is left as it is, with a warning
    in the log: this version works with the next one's. Behind a pooler, a statement outside a transaction
    (an index that is built concurrently) keeps the time limit of the database's role.

    Raises:
        DatabaseUnavailable: it does not answer, or rejects the connection.
        UnknownSchema: its revision is neither known nor later than the newest known one.
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
    """Be the only one that migrates while the block runs.

    The lock belongs to a transaction that stays open, which works through a pooler, where a session's lock
    does not. It is asked for again and again: a statement that waited for it would hold a snapshot, and an
    index cannot be built concurrently before all older snapshots are gone.
    """
    while True:
        async with database.transaction() as connection:
            if await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _MIGRATION_LOCK):
                # Last, because it also ends the query before it, and with it that query's snapshot.
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


def _is_newer(revisions: Collection[str], scripts: ScriptDirectory) -> bool:
    """Return whether only a newer version of the program knows the schema.

    Revisions are numbered 0001, 0002, ... without gaps, so a number above ours is a later migration.

    Raises:
        UnknownSchema: the schema is of no version.
    """
    known = {script.revision for script in scripts.walk_revisions()}
    if known.issuperset(revisions):
        return False
    newest = max(known)
    if not all(_REVISION.fullmatch(revision) and revision > newest for revision in revisions):
        raise UnknownSchema(
            f"its schema has the unknown revision {', '.join(revisions)};"
            " name a database that only Messenger uses"
        )
    log.warning("database schema newer than this version", revision=max(revisions), newest_known=newest)
    return True


def _lift_time_limit(connection: Connection) -> None:
    """Let the transaction's statements take their time, behind a pooler too."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")

"""Bringing a database to the newest schema."""

from pathlib import Path
from typing import Any

from alembic.config import Config
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import command
from db.engine import Database, naming_outages
from db.urls import sqlalchemy_url

# Any number that nobody else locks with: whoever holds it migrates, the others wait.
_MIGRATION_LOCK = 7_463_901_225_118
# Alembic works with SQLAlchemy's connections, and nothing is kept on one that may be a pooler's.
_CONNECT: dict[str, Any] = {
    "timeout": 10,
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}


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
    and then find nothing to do.

    Raises:
        DatabaseUnavailable: it does not answer, or turns us away.
    """
    engine = create_async_engine(
        sqlalchemy_url(database.url), poolclass=NullPool, hide_parameters=True, connect_args=_CONNECT
    )
    with naming_outages():
        async with database.transaction() as locked:
            # Held by a transaction that waits, which a pooler understands and a session's lock it does not.
            await locked.execute("SET LOCAL statement_timeout = 0")
            await locked.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            await locked.execute(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            async with engine.begin() as connection:
                await connection.execute(text("SET LOCAL statement_timeout = 0"))
                await connection.run_sync(_upgrade, revision)


def _upgrade(connection: Connection, revision: str) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)

"""Preparing to serve: the limit on open files, migrating the database, and watching the embedded one."""

import asyncio
import resource
from collections.abc import Generator
from contextlib import contextmanager

from asyncpg import PostgresError
from sqlalchemy.exc import SQLAlchemyError

from db.embedded import EmbeddedPostgresError
from db.engine import DatabaseUnavailable, open_database
from db.migrations import UnknownSchema, migrate
from server.process.database import DatabaseAddress, Watched

_DATABASE_CHECK_SECONDS = 1
_MAX_FILES = 2**20


class CannotStart(Exception):
    """The command failed; the message is one line that says why and what to do."""


def raise_file_limit() -> None:
    """Raise the soft limit on open files to the hard limit, as each stream is an open file.

    Child processes inherit it. The soft limit is usually 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def bring_up_to_date(url: str, shown: str, *, behind_pooler: bool) -> None:
    """Migrate the database; `shown` is its name in error messages.

    Raises:
        CannotStart: the database cannot be reached or migrated.
    """
    with using_database(shown):
        async with open_database(url, pool_size=2, behind_pooler=behind_pooler) as database:
            await migrate(database)


@contextmanager
def using_database(shown: str) -> Generator[None]:
    """Raise errors of the database, which the message calls `shown`, as `CannotStart`."""
    try:
        yield
    except (DatabaseUnavailable, UnknownSchema, PostgresError, SQLAlchemyError) as error:
        cause = getattr(error, "orig", None) or error
        first_line = (str(cause) or type(cause).__name__).splitlines()[0]
        raise CannotStart(f"cannot use {shown}: {first_line}") from error


async def watch_database(process: Watched, address: DatabaseAddress) -> None:
    """Run until the embedded PostgreSQL ends, so that a supervisor restarts both.

    Raises:
        EmbeddedPostgresError: it has ended.
    """
    while True:
        if process.poll() is not None:
            raise EmbeddedPostgresError(
                f"the embedded PostgreSQL in {address.shown} has ended; see postgres.log in that directory"
            )
        await asyncio.sleep(_DATABASE_CHECK_SECONDS)

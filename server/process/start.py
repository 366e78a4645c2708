"""What comes before serving: the limits of the process, the database, and what can be wrong with it."""

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
_MOST_FILES = 2**20


class CannotStart(Exception):
    """The command cannot be carried out; the message is one line that says why and what to do."""


def raise_file_limit() -> None:
    """Let this process and its children open as many files as they may: each stream is one.

    A process usually starts with 1,024, and is free to go up to its hard limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def bring_up_to_date(url: str, shown: str, *, behind_pooler: bool) -> None:
    """Migrate the database, which errors call `shown`.

    Raises:
        CannotStart: it cannot be reached or used.
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


async def end_with(process: Watched, address: DatabaseAddress) -> None:
    """Raise when the embedded PostgreSQL ends under us: whoever runs us starts both again.

    Raises:
        EmbeddedPostgresError: it has.
    """
    while True:
        if process.poll() is not None:
            raise EmbeddedPostgresError(
                f"the PostgreSQL on {address.shown} has ended; see postgres.log there"
            )
        await asyncio.sleep(_DATABASE_CHECK_SECONDS)

"""Telling an outage of the database from a statement that fails."""

from collections.abc import Generator
from contextlib import contextmanager

import asyncpg

# What asyncpg raises if it cannot connect or its connection is lost; the last one if the connection is lost
# just as a statement begins.
CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresError,
    asyncpg.InternalClientError,
)

# Errors that are due to other transactions. The statement has done nothing and can be retried.
LOCK_ERRORS = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


class DatabaseUnavailable(Exception):
    """The database does not respond: it is down, restarting or unreachable, or all connections are in use.

    It is also raised if another transaction holds a lock for too long.
    """


@contextmanager
def naming_outages() -> Generator[None]:
    """Raise errors that mean an outage as `DatabaseUnavailable`."""
    try:
        yield
    except CONNECTION_ERRORS as error:
        if not is_outage(error):
            raise
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error


def is_outage(error: Exception) -> bool:
    """Return whether the error is due to the state of the database rather than to the statement."""
    if isinstance(error, LOCK_ERRORS):
        return True
    if isinstance(error, asyncpg.PostgresError):
        # The server ended the connection, or it is lost: SQLSTATE class 08 or 57P.
        return str(error.sqlstate).startswith(("08", "57P"))
    if isinstance(error, asyncpg.InterfaceError):
        # All others mean that asyncpg is used wrongly.
        return str(error).endswith(("closed", "released back to the pool"))
    return True

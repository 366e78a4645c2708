"""Telling an outage from a statement that fails."""

from collections.abc import Generator
from contextlib import contextmanager

import asyncpg

# What asyncpg raises when it cannot connect or its connection is lost; the last one when that happens just as
# it begins a statement.
CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresError,
    asyncpg.InternalClientError,
)


# What ends a statement because of other transactions: it has done nothing, and may succeed when repeated.
LOCK_ERRORS = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


class DatabaseUnavailable(Exception):
    """The database does not answer: it is down, restarting, out of reach, or all connections are taken.

    Or another transaction holds a lock for too long.
    """


@contextmanager
def naming_outages() -> Generator[None]:
    """Raise what shows that the database does not answer as `DatabaseUnavailable`."""
    try:
        yield
    except CONNECTION_ERRORS as error:
        if not is_outage(error):
            raise
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error


def is_outage(error: Exception) -> bool:
    """Say whether the error is the database's state, not the statement's fault."""
    if isinstance(error, LOCK_ERRORS):
        return True
    if isinstance(error, asyncpg.PostgresError):
        # The server ended the connection, or it is lost: SQLSTATE class 08 or 57P.
        return str(error.sqlstate).startswith(("08", "57P"))
    if isinstance(error, asyncpg.InterfaceError):
        # All others are a wrong use of asyncpg.
        return str(error).endswith(("closed", "released back to the pool"))
    return True

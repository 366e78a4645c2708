"""Changing the tables of a database that is in use."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Result, TextClause, text
from sqlalchemy.exc import DBAPIError

from db.outages import DatabaseUnavailable

log = structlog.stdlib.get_logger(__name__)

_LOCK_NOT_AVAILABLE = "55P03"
_DEADLOCK_DETECTED = "40P01"
# Shorter than the server's `deadlock_timeout`, so that the migration yields before a deadlock is detected.
# Other statements on the table wait behind the migration for this long.
LOCK_TIMEOUT = "500ms"
# Longer than `deadlock_timeout`: only then does the server cancel an automatic vacuum that is in the way.
_LONG_LOCK_TIMEOUT = "1500ms"
_LONG_ATTEMPT = 10
_PAUSE = text("SELECT pg_sleep(0.25)")


def alter_patiently(
    connection: Connection, statement: str, *, locks: Sequence[str] = (), attempts: int = 120
) -> None:
    """Execute a statement that locks tables, in its own transaction. There must be no open transaction.

    If it does not get its locks within half a second, it gives up so that others can go on, and is tried
    again: for a minute and a half in all. Every tenth attempt takes longer. `locks` names tables to lock
    before, in the order in which others lock them.

    Raises:
        DatabaseUnavailable: another transaction held a lock during all attempts.
    """
    short, long = (_in_a_block(statement, locks, limit) for limit in (LOCK_TIMEOUT, _LONG_LOCK_TIMEOUT))
    for attempt in range(1, attempts):
        block = long if attempt % _LONG_ATTEMPT == 0 else short
        if _attempted(connection, block, attempt, {}) is not None:
            return
    _finally(connection, long, {})


def _in_a_block(statement: str, locks: Sequence[str], limit: str) -> TextClause:
    """Return one statement, which is one transaction, with a time limit. This also works behind a pooler."""
    lock = f"LOCK TABLE {', '.join(locks)} IN ACCESS EXCLUSIVE MODE;" if locks else ""
    block = f"""
        DO $do$ BEGIN
            SET LOCAL lock_timeout = '{limit}';
            {lock}
            EXECUTE $ddl${statement}$ddl$;
        END $do$
    """
    return text(block.replace(":", r"\:"))


def retried(
    connection: Connection, statement: TextClause, *, attempts: int = 120, **values: object
) -> Result[Any]:
    """Execute a statement that is its own transaction; if it does not get its locks, again after a moment.

    Raises:
        DatabaseUnavailable: another transaction held a lock during all attempts.
    """
    for attempt in range(1, attempts):
        result = _attempted(connection, statement, attempt, values)
        if result is not None:
            return result
    return _finally(connection, statement, values)


def _attempted(
    connection: Connection, statement: TextClause, attempt: int, values: Mapping[str, object]
) -> Result[Any] | None:
    """Execute the statement; if it does not get its locks, return None after a moment."""
    try:
        return connection.execute(statement, values)
    except DBAPIError as error:
        if not _got_no_lock(error):
            raise
    log.info("migration delayed by a lock", attempt=attempt)
    # The database waits, because this connection runs in an event loop.
    connection.execute(_PAUSE)
    return None


def _finally(connection: Connection, statement: TextClause, values: Mapping[str, object]) -> Result[Any]:
    try:
        return connection.execute(statement, values)
    except DBAPIError as error:
        if not _got_no_lock(error):
            raise
        raise DatabaseUnavailable(
            "another transaction has locked what the migration changes; run it again when that has ended"
        ) from error


def _got_no_lock(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in {_LOCK_NOT_AVAILABLE, _DEADLOCK_DETECTED}

"""Transactions that are repeated if they do not get their locks."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

from db.engine import Database
from db.outages import LOCK_ERRORS, DatabaseUnavailable
from db.statements import Connection
from realtime.backoff import Backoff

_ATTEMPTS = 5

_T = TypeVar("_T")


async def in_transaction(database: Database, work: Callable[[Connection], Awaitable[_T]]) -> _T:
    """Do the work in a transaction; again, up to four times, if it did not get its locks.

    Raises:
        DatabaseUnavailable: the database does not respond, or locks are still held by others.
    """
    backoff = Backoff()
    for attempt in count(1):
        try:
            async with database.transaction() as connection:
                return await work(connection)
        except DatabaseUnavailable as error:
            if attempt == _ATTEMPTS or not isinstance(error.__cause__, LOCK_ERRORS):
                raise
        await backoff.wait()
    raise AssertionError("count never ends")

"""Where the library `limits` counts: in this process, or in the database for all processes together."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from cachetools import LRUCache
from limits.aio.storage import Storage

from db import rates
from db.engine import Connection, Database, DatabaseUnavailable
from server.observability.metrics import RATES_NOT_COUNTED

_MOST_KEYS = 100_000
_PATIENCE_SECONDS = 2

_T = TypeVar("_T")


class ProcessCounts(Storage):
    """Counts of this process. Of more than 100,000 keys those that were counted longest ago are forgotten.

    The library's own storage in memory looks through all its keys at every count, in tasks of its own.
    """

    STORAGE_SCHEME: list[str] | None = None

    def __init__(self) -> None:
        """Count from nothing."""
        super().__init__()
        self._counts = LRUCache[str, tuple[int, float]](_MOST_KEYS)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What may go wrong: nothing."""
        return ArithmeticError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to the key's count, which begins anew after `expiry` seconds."""
        count, until = self._counts.get(key, (0, 0.0))
        if until <= time.time():
            count, until = 0, time.time() + expiry
        self._counts[key] = count + amount, until
        return count + amount

    async def get(self, key: str) -> int:
        """Return the key's count."""
        count, until = self._counts.get(key, (0, 0.0))
        return count if until > time.time() else 0

    async def get_expiry(self, key: str) -> float:
        """Return when the key's count begins anew, in seconds since 1970."""
        return self._counts.get(key, (0, time.time()))[1]

    async def check(self) -> bool:
        """Say that it works."""
        return True

    async def reset(self) -> int:
        """Forget everything."""
        count = len(self._counts)
        self._counts.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget the key."""
        self._counts.pop(key, None)


class DatabaseCounts(Storage):
    """Counts in a table that a crash of the database may empty: one small statement for each.

    While the database does not answer, nothing is counted and everything is within its limit: what was to be
    limited says by itself that it cannot be done, or can be done without the database.
    """

    STORAGE_SCHEME: list[str] | None = None

    def __init__(self, database: Database) -> None:
        """Count there."""
        super().__init__()
        self._database = database

    @property
    def base_exceptions(self) -> type[Exception]:
        """What may go wrong."""
        return DatabaseUnavailable

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to the key's count, which begins anew after `expiry` seconds."""
        return await self._ask(
            lambda connection: rates.count(connection, key, amount, timedelta(seconds=expiry)), 0
        )

    async def get(self, key: str) -> int:
        """Return the key's count."""
        counted = await self._ask(lambda connection: rates.counted(connection, key), None)
        return 0 if counted is None else counted[0]

    async def get_expiry(self, key: str) -> float:
        """Return when the key's count begins anew, in seconds since 1970."""
        counted = await self._ask(lambda connection: rates.counted(connection, key), None)
        return time.time() if counted is None else counted[1].timestamp()

    async def _ask(self, ask: Callable[[Connection], Awaitable[_T]], otherwise: _T) -> _T:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), self._database.connection() as connection:
                return await ask(connection)
        except (DatabaseUnavailable, TimeoutError):
            RATES_NOT_COUNTED.inc()
            return otherwise

    async def check(self) -> bool:
        """Say that it works."""
        return True

    async def reset(self) -> int:
        """Forget what is over."""
        async with self._database.connection() as connection:
            return await rates.forget(connection)

    async def clear(self, key: str) -> None:
        """Forget the key."""
        async with self._database.connection() as connection:
            await rates.forget(connection, key)

"""Storages for the library `limits`: in this process, or in the database for all processes together."""

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

_MAX_KEYS = 100_000
_TIMEOUT_SECONDS = 2

_T = TypeVar("_T")


class ProcessCounts(Storage):
    """Counts in memory: at most 100,000 keys, from which the least recently used are evicted.

    The library's own storage in memory scans all its keys on every count, in tasks of its own.
    """

    STORAGE_SCHEME: list[str] | None = None

    def __init__(self) -> None:
        super().__init__()
        self._counts = LRUCache[str, tuple[int, float]](_MAX_KEYS)

    @property
    def base_exceptions(self) -> type[Exception]:
        """The library requires a type, although nothing here fails."""
        return ArithmeticError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to the key's count, which starts again at 0 after `expiry` seconds; return the new count."""
        count, until = self._counts.get(key, (0, 0.0))
        if until <= time.time():
            count, until = 0, time.time() + expiry
        self._counts[key] = count + amount, until
        return count + amount

    async def get(self, key: str) -> int:
        count, until = self._counts.get(key, (0, 0.0))
        return count if until > time.time() else 0

    async def get_expiry(self, key: str) -> float:
        """Return when the key's count starts again at 0, as a Unix timestamp."""
        return self._counts.get(key, (0, time.time()))[1]

    async def check(self) -> bool:
        return True

    async def reset(self) -> int:
        """Remove all keys; return how many there were."""
        count = len(self._counts)
        self._counts.clear()
        return count

    async def clear(self, key: str) -> None:
        self._counts.pop(key, None)


class DatabaseCounts(Storage):
    """Counts in an unlogged table, which a crash of the database may empty, with one statement per count.

    While the database does not respond, nothing is counted and nothing is limited. Sign-ins and messages then
    fail by themselves, as far as they need the database.
    """

    STORAGE_SCHEME: list[str] | None = None

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    @property
    def base_exceptions(self) -> type[Exception]:
        return DatabaseUnavailable

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to the key's count, which starts again at 0 after `expiry` seconds; return the new count."""
        return await self._ask(
            lambda connection: rates.count(connection, key, amount, timedelta(seconds=expiry)), 0
        )

    async def get(self, key: str) -> int:
        counted = await self._ask(lambda connection: rates.counted(connection, key), None)
        return 0 if counted is None else counted[0]

    async def get_expiry(self, key: str) -> float:
        """Return when the key's count starts again at 0, as a Unix timestamp."""
        counted = await self._ask(lambda connection: rates.counted(connection, key), None)
        return time.time() if counted is None else counted[1].timestamp()

    async def _ask(self, ask: Callable[[Connection], Awaitable[_T]], otherwise: _T) -> _T:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS), self._database.connection() as connection:
                return await ask(connection)
        except (DatabaseUnavailable, TimeoutError):
            RATES_NOT_COUNTED.inc()
            return otherwise

    async def check(self) -> bool:
        return True

    async def reset(self) -> int:
        """Remove expired counts; return how many there were."""
        async with self._database.connection() as connection:
            return await rates.forget(connection)

    async def clear(self, key: str) -> None:
        async with self._database.connection() as connection:
            await rates.forget(connection, key)

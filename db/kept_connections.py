"""The connections of a pool, kept ready between the statements of requests.

asyncpg's pool starts a task and a timer each time a connection is released, and creates a proxy each time one
is acquired. That takes as much CPU time as a short statement, and most requests execute only one.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic

import asyncpg

from db.statements import Connection

# A connection that has not been used for so long may have been dropped by a firewall. asyncpg's default.
_IDLE_SECONDS = 300
# The pool then has the opportunity to replace the connection, see `max_queries`.
_MOST_USES = 1000


@dataclass(slots=True)
class Lease:
    """A connection that has been taken from the pool, in use or kept."""

    connection: Connection
    generation: int
    uses: int = 0
    kept_since: float = 0


class KeptConnections:
    """Acquires connections from a pool, and keeps those that are released until they are needed again.

    While callers wait for a connection, released ones go back to the pool, which serves them in order.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", wait_seconds: float) -> None:
        """Wait at most so long for a connection."""
        self._pool = pool
        self._wait_seconds = wait_seconds
        self._kept: deque[Lease] = deque()
        self._waiting = 0
        self._generation = 0
        self._is_closed = False

    def use(self) -> tuple[int, int]:
        """Return the number of open connections, and the number of those in use."""
        size = self._pool.get_size()
        return size, size - self._pool.get_idle_size() - sum(map(_is_open, self._kept))

    async def acquire(self) -> Lease:
        """Return a connection, which must be released.

        Raises:
            TimeoutError: all connections are in use, or a new one cannot be established in time.
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: one cannot be established.
        """
        while self._kept:
            lease = self._kept.pop()
            if not _is_open(lease):
                continue
            if not _is_idle(lease, monotonic()):
                return lease
            _terminate(lease)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                return Lease(await self._pool.acquire(), self._generation)
        finally:
            self._waiting -= 1

    def keep(self, lease: Lease) -> bool:
        """Keep the connection for later, or return False if it must be released to the pool.

        The statements that were executed on it must have succeeded.
        """
        lease.uses += 1
        if (
            self._waiting
            or self._is_closed
            or lease.uses > _MOST_USES
            or lease.generation != self._generation
            or not _is_open(lease)
            or lease.connection.is_in_transaction()
        ):
            return False
        lease.kept_since = monotonic()
        self._kept.append(lease)
        # The last one is used first, so the first one is not needed if it has not been used for long.
        if _is_idle(self._kept[0], lease.kept_since):
            _terminate(self._kept.popleft())
        return True

    async def release(self, lease: Lease) -> None:
        """Release the connection to the pool, which closes it if it cannot be used again."""
        await self._pool.release(lease.connection, timeout=self._wait_seconds)

    async def expire(self) -> None:
        """Close all connections before their next use."""
        self._generation += 1
        while self._kept:
            _terminate(self._kept.pop())
        await self._pool.expire_connections()

    async def close(self) -> None:
        """Keep no connection any longer, and close all of them once they have been released."""
        self._is_closed = True
        while self._kept:
            await self.release(self._kept.pop())
        await self._pool.close()

    def terminate(self) -> None:
        """Close all connections without waiting."""
        self._pool.terminate()


def _is_open(lease: Lease) -> bool:
    try:
        return not lease.connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool has taken it back because it was lost.
        return False


def _is_idle(lease: Lease, now: float) -> bool:
    return now - lease.kept_since > _IDLE_SECONDS


def _terminate(lease: Lease) -> None:
    if _is_open(lease):
        lease.connection.terminate()

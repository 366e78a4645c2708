"""Shares of the connection pool, so that the events and requests of one user leave connections for others."""

import asyncio
from contextlib import nullcontext
from uuid import UUID
from weakref import WeakValueDictionary

from db.outages import DatabaseUnavailable

REQUEST_CONNECTIONS = 4
"""The number of connections that the requests of one user use at a time, of the ten in a pool."""

STREAM_CONNECTIONS = 2
"""The number of connections that the streams of one user use at a time.

With one, an event that waits for a slow statement would hold up all other streams of the user. With two of
the ten in a pool, several users whose streams all wake at once still leave connections for other requests.
"""

_AT_ONCE = nullcontext()


class Shares:
    """The shares of the users who use connections or wait for one."""

    def __init__(self, connections: int, *, wait_seconds: float | None = None) -> None:
        """Let each user use this number of connections at a time, and wait for so long at most.

        Without a time limit, a wait ends with the blocks before it, whose connections have theirs.
        """
        self._connections = connections
        self._wait_seconds = wait_seconds
        # A share is forgotten as soon as no task uses it or waits for it.
        self._of = WeakValueDictionary[UUID, Share]()

    def __len__(self) -> int:
        """Return the number of users with a share."""
        return len(self._of)

    def of(self, user_id: UUID) -> "Share":
        """Return the user's share."""
        share = self._of.get(user_id)
        if share is None:
            share = self._of[user_id] = Share(self._connections, self._wait_seconds)
        return share


class Share(asyncio.Semaphore):
    """A user's share of the connections: its block runs in a few tasks at a time, in their order.

    A block must not wait for another share of the same user.
    """

    def __init__(self, connections: int, wait_seconds: float | None) -> None:
        super().__init__(connections)
        self._wait_seconds = wait_seconds

    async def __aenter__(self) -> None:
        """Wait for the tasks before this one.

        Raises:
            DatabaseUnavailable: they took too long.
        """
        try:
            async with asyncio.timeout(self._wait_seconds) if self.locked() else _AT_ONCE:
                await self.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailable("the user's other requests use their share of connections") from error

"""Shares of the connection pool, so that the events and requests of one user leave connections for others."""

import asyncio
from contextlib import AbstractAsyncContextManager
from uuid import UUID
from weakref import WeakValueDictionary

REQUEST_CONNECTIONS = 4
"""The number of connections that the requests of one user use at a time, of the ten in a pool."""

STREAM_CONNECTIONS = 2
"""The number of connections that the streams of one user use at a time.

With one, an event that waits for a slow statement would hold up all other streams of the user. With two of
the ten in a pool, several users whose streams all wake at once still leave connections for other requests.
"""


class Shares:
    """The shares of the users who use connections or wait for one."""

    def __init__(self, connections: int) -> None:
        """Let each user use this number of connections at a time."""
        self._connections = connections
        # A share is forgotten as soon as no task uses it or waits for it.
        self._of = WeakValueDictionary[UUID, asyncio.Semaphore]()

    def __len__(self) -> int:
        """Return the number of users with a share."""
        return len(self._of)

    def of(self, user_id: UUID) -> AbstractAsyncContextManager[None]:
        """Return the user's share: its block runs in at most `connections` tasks at a time, in their order.

        The wait for it has no time limit of its own: it ends with the blocks before it, whose connections
        have theirs. A block must not wait for another share of the same user.
        """
        share = self._of.get(user_id)
        if share is None:
            share = self._of[user_id] = asyncio.Semaphore(self._connections)
        return share

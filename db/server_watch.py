"""Noticing that another PostgreSQL server responds than before."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import asyncpg


def _do_nothing() -> None:
    """Do nothing."""


class ServerWatch:
    """Tells PostgreSQL servers apart by when they started.

    After a failover, or when a backup is restored, another server responds, whose data may be older. That is
    also so after a restart, which loses nothing.
    """

    def __init__(self) -> None:
        """Begin without knowing any server."""
        self.on_other_server: Callable[[], None] = _do_nothing
        """Called when another server responds, before a statement of this process reaches it."""
        self._started_at: datetime | None = None

    async def greet(self, connection: "asyncpg.Connection[Any]") -> None:
        """Note the server of a new connection."""
        self.note(await connection.fetchval("SELECT pg_postmaster_start_time()"))

    def note(self, started_at: datetime) -> None:
        """Note that a server responds that started at that time."""
        before, self._started_at = self._started_at, started_at
        if before not in (None, started_at):
            self.on_other_server()

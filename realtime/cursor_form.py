"""The form in which this process issues cursors."""

import asyncio

import structlog

from db import reservations
from db.engine import Database, DatabaseUnavailable

log = structlog.stdlib.get_logger(__name__)


class CursorForm:
    """Whether cursors have tags.

    Processes of earlier releases reject those that have, so there are none as long as one of these is alive.
    """

    __slots__ = ("tags",)

    def __init__(self, *, tags: bool = False) -> None:
        """Begin with this form."""
        self.tags = tags


async def watch_releases(form: CursorForm, database: Database, every_seconds: float = 10) -> None:
    """Issue cursors with tags while no process of an earlier release is alive, without end."""
    while True:
        try:
            async with database.connection() as connection:
                form.tags = not await reservations.is_earlier_release_alive(connection)
        except DatabaseUnavailable as error:
            log.warning("releases could not be read", error=str(error))
        await asyncio.sleep(every_seconds)

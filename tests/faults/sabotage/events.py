"""Pages that lose an entry."""

from collections.abc import Collection
from uuid import UUID

from db import inbox_log
from db.entries import InboxPage
from db.statements import Connection


def merge_away_the_last(number: int) -> None:
    """Leave out the last entry of each page that has several, as if a later one had superseded it."""
    page = inbox_log.page

    async def merged(
        connection: Connection,
        user_id: UUID,
        *,
        after: int,
        kinds: Collection[int],
        include_mine: bool,
        limit: int,
    ) -> InboxPage:
        found = await page(
            connection, user_id, after=after, kinds=kinds, include_mine=include_mine, limit=limit
        )
        return found._replace(entries=found.entries[:-1]) if len(found.entries) > 1 else found

    inbox_log.page = merged

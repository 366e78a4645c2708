"""Pages that lose an entry, and events of the past."""

# Sabotage replaces private parts.
# pyright: reportPrivateUsage=false

from collections.abc import Collection
from uuid import UUID

from db import inbox_log
from db.entries import InboxEntry, InboxPage
from db.records import Message
from db.statements import Connection
from schema import messages
from schema.messages import Message as ShownMessage


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


def keep_messages(number: int) -> None:
    """Show each message in all events as this process has shown it first."""
    kept: dict[UUID, Message] = {}

    def shown(entry: InboxEntry) -> ShownMessage:
        assert entry.message is not None
        return ShownMessage.of(kept.setdefault(entry.message.id, entry.message))

    messages._message_of = shown

"""Pages that lose an entry, and events of the past."""

# Sabotage replaces private parts.
# pyright: reportPrivateUsage=false

from uuid import UUID

from db.entries import InboxEntry, InboxPage
from db.inbox_log import PageRows
from db.records import Message
from schema import messages
from schema.messages import Message as ShownMessage


def merge_away_the_last(number: int) -> None:
    """Leave out the last entry of each page that has several, as if a later one had superseded it."""
    page = PageRows.page

    def merged(self: PageRows) -> InboxPage:
        found = page(self)
        return found._replace(entries=found.entries[:-1]) if len(found.entries) > 1 else found

    PageRows.page = merged


def keep_messages(number: int) -> None:
    """Show each message in all events as this process has shown it first."""
    kept: dict[UUID, Message] = {}

    def shown(entry: InboxEntry) -> ShownMessage:
        assert entry.message is not None
        return ShownMessage.of(kept.setdefault(entry.message.id, entry.message))

    messages._message_of = shown

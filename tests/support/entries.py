"""Entries of inboxes in tests."""

from collections.abc import Iterable, Sequence

from db.entries import InboxEntry
from db.records import Message


def message_of(entry: InboxEntry) -> Message:
    """Return the entry's message, which must have been read."""
    assert entry.message is not None
    return entry.message


def messages_of(entries: Iterable[InboxEntry]) -> Sequence[Message]:
    """Return the messages of the entries, which must have been read."""
    return [message_of(entry) for entry in entries]

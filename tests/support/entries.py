"""Entries of inboxes in tests."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from db import inbox_log
from db.entries import MESSAGE_CREATED, InboxEntry, InboxPage, Standing
from db.records import Message
from db.statements import Connection


def message_of(entry: InboxEntry) -> Message:
    """Return the entry's message, which must have been read."""
    assert entry.message is not None
    return entry.message


def messages_of(entries: Iterable[InboxEntry]) -> Sequence[Message]:
    """Return the messages of the entries, which must have been read."""
    return [message_of(entry) for entry in entries]


async def read_messages(connection: Connection, user_id: UUID, *, after: int, limit: int) -> InboxPage:
    """Return the new messages among the next entries of the inbox."""
    asked = inbox_log.PageAsked(user_id, after, {MESSAGE_CREATED}, include_mine=True, limit=limit)
    return await inbox_log.page(connection, asked)


EPOCH = UUID(int=0)


def page_of(log: Sequence[InboxEntry], after: int, limit: int, epoch: UUID = EPOCH) -> InboxPage:
    """Return a page of a log in which every position from 1 on has an entry."""
    entries = log[after : after + limit]
    up_to = after + len(entries)
    standing = Standing(epoch, len(log), _tag(log, after))
    return InboxPage(entries, up_to, _tag(log, up_to), len(entries) < limit, len(entries), standing)


def _tag(log: Sequence[InboxEntry], position: int) -> int | None:
    return log[position - 1].tag if 0 < position <= len(log) else None

"""Finding all messages of a user, a few at a time, in order to delete them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from db import edits
from db.statements import Connection, Statement

_BATCH = 100
# How much of a conversation one statement looks through.
_STRETCH = 10_000


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation of the user, and the number of its last message."""

    id: UUID
    last_seq: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """The user's messages in a part of a conversation, without deleted ones."""

    ids: Sequence[UUID]
    up_to: int
    """The number of the last message that was looked at."""


_TALKS = Statement(
    text("""
    SELECT conversations.id, conversations.last_seq
    FROM participants JOIN conversations ON conversations.id = participants.conversation_id
    WHERE participants.user_id = :user_id AND conversations.last_seq > 0
    ORDER BY conversations.id
""")
)


async def talks(connection: Connection, user_id: UUID) -> Sequence[Talk]:
    """Return the conversations of the user that have messages."""
    return [Talk(row["id"], row["last_seq"]) for row in await _TALKS.fetch(connection, user_id=user_id)]


# The range keeps the statement short, however few of the messages are the user's.
_MESSAGES = Statement(
    text("""
    SELECT id, seq FROM messages
    WHERE conversation_id = :conversation_id AND seq > :after AND seq <= :up_to
      AND author_id = :user_id AND deleted_at IS NULL
    ORDER BY seq LIMIT :limit
""")
)


async def messages_of(connection: Connection, talk: UUID, user_id: UUID, *, after: int) -> Stretch:
    """Return up to 100 of the user's messages in a conversation, from the number `after` on."""
    up_to = after + _STRETCH
    rows = await _MESSAGES.fetch(
        connection, conversation_id=talk, user_id=user_id, after=after, up_to=up_to, limit=_BATCH
    )
    return Stretch([row["id"] for row in rows], up_to if len(rows) < _BATCH else rows[-1]["seq"])


_LOCK_TALK = Statement(text("SELECT FROM conversations WHERE id = :conversation_id FOR NO KEY UPDATE"))


async def delete(connection: Connection, talk: UUID, user_id: UUID, ids: Sequence[UUID]) -> int:
    """Delete up to 100 messages of a conversation, and return how many of them were not deleted yet.

    The connection must be in a transaction. Until it ends, nothing is sent to the conversation.
    """
    await _LOCK_TALK.execute(connection, conversation_id=talk)
    return len(await edits.delete(connection, talk, ids, actor=user_id))

"""Statements about messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from sqlalchemy import bindparam, func, select, text

from db.as_seen import HAS_INBOX
from db.columns import Columns
from db.includes import NO_MESSAGE_INCLUDES, Joins, MessageIncludes
from db.prefetched import Prefetched, SeqRange
from db.records import Message
from db.statements import Connection, Statement, uuids
from db.tables import messages

MESSAGE = Columns(Message)


@cache
def _visible_to(includes: MessageIncludes) -> tuple[Statement, Joins]:
    joins = Joins()
    joins.include_with_messages("seen", includes)
    statement = Statement(
        text(f"""
        SELECT {MESSAGE.sql("seen")}{joins.columns}
        FROM (
            SELECT messages.* FROM messages
            JOIN participants ON participants.conversation_id = messages.conversation_id
            WHERE participants.user_id = :viewer AND messages.id = ANY(CAST(:ids AS uuid[])) AND {HAS_INBOX}
        ) AS seen
        {joins.sql}
        """)
    )
    return statement, joins


async def visible_to(
    connection: Connection,
    viewer: UUID,
    ids: Sequence[UUID],
    includes: MessageIncludes = NO_MESSAGE_INCLUDES,
    prefetched: Prefetched | None = None,
) -> Sequence[Message]:
    """Return the messages that are in a conversation of the viewer, in no particular order.

    A removed user sees none. Included objects are added to `prefetched`.
    """
    statement, joins = _visible_to(includes)
    rows = await statement.fetch(connection, viewer=viewer, ids=ids)
    if prefetched is not None:
        joins.take(rows, prefetched)
    return list(map(MESSAGE.reader(rows), rows))


def digest_of(content: str) -> str:
    """Return the SQL of the digest of a text, given as SQL, for a message with an idempotency key.

    It only has to tell a repeated text from another one. Four bytes are enough for that, and so few that a
    deleted text cannot be found by guessing: many texts have the same digest. The key is the salt.
    """
    return f"substr(sha256(uuid_send(idempotency_key) || convert_to({content}, 'UTF8')), 1, 4)"


@dataclass(frozen=True, slots=True)
class SentBefore:
    """The message in its current state, and whether conversation and text are those first sent."""

    message: Message
    is_same: bool


_BY_KEY = Statement(
    text(f"""
    SELECT {MESSAGE.sql("messages")}, conversation_id = :conversation_id AND CASE
               WHEN sent_digest IS NULL THEN content = :content
               ELSE sent_digest = {digest_of("CAST(:content AS text)")}
           END AS is_same
    FROM messages
    WHERE author_id = :author_id AND idempotency_key = :key
      AND EXISTS (SELECT FROM inboxes WHERE inboxes.user_id = :author_id)
""")
)


async def by_idempotency_key(
    connection: Connection, author_id: UUID, key: UUID, *, conversation_id: UUID, content: str
) -> SentBefore | None:
    """Return the message that the author stored with this key, and whether this is how it was sent.

    None if there is none, or the author has been removed.
    """
    row = await _BY_KEY.fetchrow(
        connection, author_id=author_id, key=key, conversation_id=conversation_id, content=content
    )
    return SentBefore(MESSAGE.read(row), row["is_same"]) if row else None


_IDEMPOTENCY_KEYS = Statement(
    select(messages.c.id, messages.c.idempotency_key).where(
        messages.c.author_id == bindparam("author_id"),
        messages.c.id == func.any(uuids("ids")),
        messages.c.idempotency_key.is_not(None),
    )
)


async def idempotency_keys(
    connection: Connection, author_id: UUID, ids: Sequence[UUID]
) -> Mapping[UUID, UUID]:
    """Return the keys with which the author sent the messages, by message ID, where there is one."""
    rows = await _IDEMPOTENCY_KEYS.fetch(connection, author_id=author_id, ids=ids)
    return {row["id"]: row["idempotency_key"] for row in rows}


@cache
def _in_ranges(includes: MessageIncludes) -> tuple[Statement, Joins]:
    joins = Joins()
    joins.include_with_messages("messages", includes)
    statement = Statement(
        text(f"""
        SELECT {MESSAGE.sql("messages")}{joins.columns}
        FROM unnest(CAST(:ids AS uuid[]), CAST(:firsts AS bigint[]), CAST(:lasts AS bigint[]))
                 AS wanted (conversation_id, first, last)
        JOIN messages ON messages.conversation_id = wanted.conversation_id
                     AND messages.seq BETWEEN wanted.first AND wanted.last
        {joins.sql}
        ORDER BY messages.conversation_id, messages.seq
        """)
    )
    return statement, joins


async def in_ranges(
    connection: Connection,
    viewer: UUID,
    ranges: Sequence[SeqRange],
    includes: MessageIncludes = NO_MESSAGE_INCLUDES,
    prefetched: Prefetched | None = None,
) -> Sequence[Message]:
    """Return the messages of all the ranges in one statement, by conversation, oldest first.

    Included objects are added to `prefetched`.
    """
    statement, joins = _in_ranges(includes)
    rows = await statement.fetch(
        connection,
        **joins.parameters(viewer),
        ids=[wanted.conversation_id for wanted in ranges],
        firsts=[wanted.first for wanted in ranges],
        lasts=[wanted.last for wanted in ranges],
    )
    if prefetched is not None:
        joins.take(rows, prefetched)
    return list(map(MESSAGE.reader(rows), rows))

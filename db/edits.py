"""Statements that edit and delete messages.

Each change takes two statements in a transaction: `lock` keeps others from changing the message, so that the
rules are checked against what is then changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from asyncpg import Record
from sqlalchemy import text

from db.appending import Counting, appending, entries_of
from db.entries import MESSAGE_DELETED, MESSAGE_UPDATED, Appended
from db.messages import MESSAGE, digest_of
from db.records import Message
from db.statements import Connection, Statement


@dataclass(frozen=True, slots=True)
class LockedMessage:
    """A message that others cannot change until the transaction ends, and its age by the database's clock."""

    message: Message
    age_seconds: float


# The conversation is locked first, as by everything that changes its messages. A viewer without an inbox is a
# removed user, and sees nothing.
_LOCK = Statement(
    text(f"""
    WITH conversation AS (
        SELECT id FROM conversations
        WHERE id = (
            SELECT messages.conversation_id FROM messages
            JOIN participants ON participants.conversation_id = messages.conversation_id
            JOIN inboxes ON inboxes.user_id = participants.user_id
            WHERE messages.id = CAST(:message_id AS uuid) AND participants.user_id = :viewer
        )
        FOR NO KEY UPDATE
    )
    SELECT {MESSAGE.sql("messages")}, CAST(
               extract(epoch FROM clock_timestamp() - messages.created_at) AS double precision
           ) AS age_seconds
    FROM conversation JOIN messages ON messages.conversation_id = conversation.id
    WHERE messages.id = CAST(:message_id AS uuid)
    FOR NO KEY UPDATE OF messages
""")
)


async def lock(connection: Connection, viewer: UUID, message_id: UUID) -> LockedMessage | None:
    """Lock a message and its conversation until the transaction ends, and return it.

    None if the viewer does not participate in a conversation with this message.
    """
    row = await _LOCK.fetchrow(connection, viewer=viewer, message_id=message_id)
    return LockedMessage(MESSAGE.read(row), row["age_seconds"]) if row else None


# The text that was first sent is overwritten by the first change. Only a digest of it is kept, and only if
# the message can be sent again with its idempotency key.
_SENT_DIGEST = f"CASE WHEN idempotency_key IS NOT NULL THEN coalesce(sent_digest, {digest_of('content')}) END"

_EDIT = Statement(
    text(f"""
    WITH
    message AS (
        UPDATE messages
        SET content = :content, version = version + 1, edited_at = clock_timestamp(),
            sent_digest = {_SENT_DIGEST}
        WHERE id = :message_id
        RETURNING {MESSAGE.sql("messages")}
    ),
    -- One row for each participant.
    arriving AS (
        SELECT participants.user_id, 1 AS nth, message.id, message.conversation_id,
               message.edited_at AS created_at
        FROM message JOIN participants ON participants.conversation_id = message.conversation_id
    ),
    {appending(entries_of(MESSAGE_UPDATED, subject="id", actor=":actor"))}
    SELECT {MESSAGE.sql("message")}, arrived.user_id, arrived.position
    FROM message LEFT JOIN arrived ON arrived.id = message.id
""")
)


async def edit(connection: Connection, message_id: UUID, content: str, *, actor: UUID) -> Appended:
    """Give a message, which the transaction has locked, another text, and append that to each inbox."""
    rows = await _EDIT.fetch(connection, message_id=message_id, content=content, actor=actor)
    message = MESSAGE.read(rows[0])
    return Appended(
        MESSAGE_UPDATED,
        message.conversation_id,
        message.id,
        actor,
        message.edited_at or message.created_at,
        _positions(rows),
        message,
    )


# The deleted messages of others after the mark are no longer unread.
_DELETIONS = appending(
    entries_of(MESSAGE_DELETED, subject="id", actor=":actor"),
    counts="SELECT user_id, count(*) FROM arriving GROUP BY user_id",
    counting=Counting(
        rows="""
            SELECT conversation_id, user_id, array_agg(seq) FILTER (WHERE author_id <> user_id) AS seqs
            FROM arriving GROUP BY conversation_id, user_id
        """,
        unread_count="""
            participants.unread_count - CAST((
                SELECT count(*) FROM unnest(change.seqs) AS seq WHERE seq > participants.read_seq
            ) AS integer)
        """,
    ),
)
_DELETE = Statement(
    text(f"""
    WITH
    message AS (
        UPDATE messages
        SET content = '', version = version + 1, deleted_at = clock_timestamp(), sent_digest = {_SENT_DIGEST}
        WHERE id = ANY(CAST(:ids AS uuid[])) AND conversation_id = :conversation_id AND deleted_at IS NULL
        RETURNING {MESSAGE.sql("messages")}
    ),
    -- One row for each message and participant.
    arriving AS (
        SELECT participants.user_id, message.id, message.conversation_id, message.seq, message.author_id,
               message.deleted_at AS created_at,
               row_number() OVER (PARTITION BY participants.user_id ORDER BY message.seq) AS nth
        FROM message JOIN participants ON participants.conversation_id = message.conversation_id
    ),
    {_DELETIONS}
    SELECT {MESSAGE.sql("message")}, arrived.user_id, arrived.position
    FROM message LEFT JOIN arrived ON arrived.id = message.id
    ORDER BY message.seq
""")
)


async def delete(
    connection: Connection, conversation_id: UUID, ids: Sequence[UUID], *, actor: UUID
) -> Sequence[Appended]:
    """Delete messages of a conversation that the transaction has locked, and append that to each inbox.

    They stay in their places without content, and are no longer unread. Messages that have already been
    deleted are left out. All inboxes of the conversation are locked, so delete at most 100 at a time.
    """
    rows = await _DELETE.fetch(connection, ids=ids, conversation_id=conversation_id, actor=actor)
    by_message: dict[UUID, list[Record]] = {}
    for row in rows:
        by_message.setdefault(row["id"], []).append(row)
    return [_deletion(of_one, actor) for of_one in by_message.values()]


def _deletion(rows: Sequence[Record], actor: UUID) -> Appended:
    message = MESSAGE.read(rows[0])
    return Appended(
        MESSAGE_DELETED,
        message.conversation_id,
        message.id,
        actor,
        message.deleted_at or message.created_at,
        _positions(rows),
        message,
    )


def _positions(rows: Sequence[Record]) -> dict[UUID, int]:
    """Return the positions by user ID, from the rows of a message; empty if no participant has an inbox."""
    return {row["user_id"]: row["position"] for row in rows if row["user_id"] is not None}

"""The statement that marks messages as read."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from asyncpg import Record
from sqlalchemy import text

from db.appending import Counting, appending, entries_of
from db.as_seen import unread_count
from db.columns import Columns
from db.entries import READ_MARK_MOVED, Appended
from db.records import Conversation
from db.statements import Connection, Statement

ATTEMPTS = 6
"""How often marking is tried before it locks the inboxes first."""

_CONVERSATION = Columns(Conversation)


@dataclass(frozen=True, slots=True)
class Marked:
    """The conversation in its current state for the reader, and the entry as it was appended.

    No entry is appended if all of these messages were already marked as read.
    """

    conversation: Conversation
    appended: Appended | None


class NotMarked(Enum):
    """Why nothing was marked as read."""

    NO_CONVERSATION = auto()
    """The reader is not a participant, or has been removed."""
    NO_MESSAGE = auto()
    """The conversation has no such message."""


# The messages that are passed are counted in the statement's snapshot, without a lock. The count is right if
# nothing has been appended to the reader's inbox until that is locked, because everything that changes the
# count appends there. Only the version before moves marks without an entry, so the count is compared too.
_APPENDING = appending(
    entries_of(READ_MARK_MOVED, subject=":reader", actor=":reader"),
    counting=Counting(
        rows="SELECT conversation_id, CAST(:reader AS uuid) AS user_id, seq, passed FROM mark",
        unread_count="participants.unread_count - change.passed",
        read_seq="greatest(participants.read_seq, change.seq)",
    ),
    only_if="""
        (SELECT last_position FROM seen)
            = (SELECT last_position FROM locked_inboxes WHERE user_id = CAST(:reader AS uuid))
        AND (SELECT unread_count FROM seen) = (SELECT unread_before FROM locked_participants)
    """,
)
_MARK = Statement(
    text(f"""
    WITH
    seen AS MATERIALIZED (
        SELECT conversations.id, conversations.last_seq, conversations.pair_key, participants.user_id,
               participants.read_seq, participants.last_position AS place, participants.unread_count,
               inboxes.last_position, CASE WHEN CAST(:whole AS boolean) THEN conversations.last_seq ELSE (
                   SELECT messages.seq FROM messages
                   WHERE messages.id = CAST(:up_to AS uuid) AND messages.conversation_id = conversations.id
               ) END AS seq
        FROM participants
        JOIN conversations ON conversations.id = participants.conversation_id
        JOIN inboxes ON inboxes.user_id = participants.user_id
        WHERE participants.conversation_id = CAST(:conversation_id AS uuid)
          AND participants.user_id = CAST(:reader AS uuid)
    ),
    -- No row if the mark does not move, so that nothing is locked or written. A reader passes each message
    -- once, so all their marks together count no more messages than were sent. The time is taken once for all
    -- recipients, because hints have only one, and the tags of cursors are made of it.
    mark AS MATERIALIZED (
        SELECT seen.id AS conversation_id, seen.seq,
               CAST(clock_timestamp() AS timestamptz(3)) AS created_at,
               CASE WHEN seen.seq >= seen.last_seq OR seen.unread_count = 0 THEN seen.unread_count ELSE (
                   SELECT CAST(count(*) AS integer) FROM messages
                   WHERE messages.conversation_id = seen.id
                     AND messages.seq > seen.read_seq AND messages.seq <= seen.seq
                     AND messages.author_id <> seen.user_id AND messages.deleted_at IS NULL
               ) END AS passed
        FROM seen WHERE seen.seq > seen.read_seq
    ),
    -- One more than are notified, to find out whether there are too many.
    readers AS MATERIALIZED (
        SELECT user_id FROM participants
        WHERE conversation_id = (SELECT conversation_id FROM mark)
        LIMIT CAST(:most_participants AS integer) + 1
    ),
    arriving AS (
        SELECT told.user_id, 1 AS nth, mark.conversation_id, mark.created_at
        FROM mark CROSS JOIN (
            SELECT user_id FROM readers
            WHERE (SELECT count(*) FROM readers) <= CAST(:most_participants AS integer)
            UNION SELECT CAST(:reader AS uuid)
        ) AS told
    ),
    {_APPENDING},
    after AS (
        SELECT seen.id, seen.last_seq, seen.pair_key, seen.user_id,
               greatest(seen.read_seq, seen.seq) AS read_seq, seen.place AS last_position,
               seen.unread_count - coalesce(mark.passed, 0) AS unread_count,
               seen.seq, mark.seq IS NOT NULL AS is_moved
        FROM seen LEFT JOIN mark ON true
    )
    SELECT after.id, after.last_seq, after.read_seq, after.last_position,
           {unread_count("after", "after")} AS unread_count, after.seq, after.is_moved,
           arrived.user_id, arrived.position, arrived.created_at
    FROM after LEFT JOIN arrived ON true
""")
)
# Those whose inboxes a mark is appended to, in the order of everything that appends.
_LOCK = Statement(
    text("""
    WITH readers AS MATERIALIZED (
        SELECT user_id FROM participants
        WHERE conversation_id = CAST(:conversation_id AS uuid)
        LIMIT CAST(:most_participants AS integer) + 1
    )
    SELECT user_id FROM inboxes
    WHERE user_id = CAST(:reader AS uuid) OR user_id IN (
        SELECT user_id FROM readers
        WHERE (SELECT count(*) FROM readers) <= CAST(:most_participants AS integer)
    )
    ORDER BY user_id FOR UPDATE
""")
)


async def mark_read(
    connection: Connection,
    conversation_id: UUID,
    reader: UUID,
    *,
    up_to: UUID | None,
    whole: bool,
    most_participants: int,
    attempts: int = ATTEMPTS,
) -> Marked | NotMarked:
    """Mark a conversation as read up to the message, or with `whole` up to its last one.

    The mark never moves back. If it moves, that is an entry in the reader's own inbox, and in those of the
    other participants unless the conversation has more than `most_participants`.

    This is a single statement. If something else reaches the inbox meanwhile, it is repeated; after
    `attempts`, with the inboxes locked before it.
    """
    values = {
        "conversation_id": conversation_id,
        "up_to": up_to,
        "whole": whole,
        "most_participants": most_participants,
    }
    for _ in range(attempts):
        marked = await _attempt(connection, reader, values)
        if marked is not None:
            return marked
    # Behind a pooler, the connection is already in a transaction.
    async with nullcontext() if connection.is_in_transaction() else connection.transaction():
        await _LOCK.fetch(
            connection, conversation_id=conversation_id, reader=reader, most_participants=most_participants
        )
        marked = await _attempt(connection, reader, values)
    if marked is None:
        raise RuntimeError("something was appended to an inbox that was locked")
    return marked


async def _attempt(
    connection: Connection, reader: UUID, values: Mapping[str, object]
) -> Marked | NotMarked | None:
    """Execute the statement. None if something else has reached the inbox meanwhile."""
    rows = await _MARK.fetch(connection, reader=reader, **values)
    if not rows:
        return NotMarked.NO_CONVERSATION
    if rows[0]["seq"] is None:
        return NotMarked.NO_MESSAGE
    conversation = _CONVERSATION.read(rows[0])
    if not rows[0]["is_moved"]:
        return Marked(conversation, None)
    return None if rows[0]["position"] is None else Marked(conversation, _appended(rows, reader))


def _appended(rows: Sequence[Record], reader: UUID) -> Appended:
    positions = {row["user_id"]: row["position"] for row in rows}
    first = rows[0]
    return Appended(READ_MARK_MOVED, first["id"], reader, reader, first["created_at"], positions)

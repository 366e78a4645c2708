"""Deletions, read marks and removals that do only a part of what belongs to them, or too much."""

# Sabotage replaces private parts.
# pyright: reportPrivateUsage=false

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import text

from db import edits, read_marks, removals
from db.appending import Counting, appending, entries_of
from db.edits import delete
from db.entries import READ_MARK_MOVED, USER_UPDATED, Appended
from db.read_marks import Marked, NotMarked
from db.statements import Connection, Statement

_WINDOW_SECONDS = 1

_COUNTS = Statement(
    text("""
    SELECT participants.user_id, participants.unread_count, inboxes.unread_messages,
           inboxes.unread_conversations
    FROM participants JOIN inboxes ON inboxes.user_id = participants.user_id
    WHERE conversation_id = :conversation_id
    ORDER BY inboxes.user_id FOR UPDATE OF inboxes
""")
)
_RESTORE_COUNT = Statement(
    text("""
    WITH inbox AS (
        UPDATE inboxes SET unread_messages = :messages, unread_conversations = :conversations
        WHERE user_id = CAST(:user_id AS uuid)
    )
    UPDATE participants SET unread_count = :unread
    WHERE user_id = CAST(:user_id AS uuid) AND conversation_id = :conversation_id
""")
)


def delete_without_counting(number: int) -> None:
    """Delete messages, and leave the unread counts as they are."""

    async def delete_only(
        connection: Connection, conversation_id: UUID, ids: Sequence[UUID], *, actor: UUID
    ) -> Sequence[Appended]:
        counts = await _COUNTS.fetch(connection, conversation_id=conversation_id)
        deleted = await delete(connection, conversation_id, ids, actor=actor)
        for row in counts:
            await _RESTORE_COUNT.execute(
                connection,
                user_id=row["user_id"],
                conversation_id=conversation_id,
                unread=row["unread_count"],
                messages=row["unread_messages"],
                conversations=row["unread_conversations"],
            )
        return deleted

    edits.delete = delete_only


# The mark is the message's, whatever it was before, and the count is that of the messages after it.
_MOVE = Statement(
    text(f"""
    WITH message AS MATERIALIZED (
        SELECT conversation_id, seq, CAST(clock_timestamp() AS timestamptz(3)) AS now FROM messages
        WHERE id = CAST(:up_to AS uuid) AND conversation_id = :conversation_id
    ),
    arriving AS (
        SELECT participants.user_id, 1 AS nth, message.conversation_id, message.now AS created_at
        FROM message JOIN participants ON participants.conversation_id = message.conversation_id
    ),
    {
        appending(
            entries_of(READ_MARK_MOVED, subject=":reader", actor=":reader"),
            counting=Counting(
                rows="SELECT conversation_id, CAST(:reader AS uuid) AS user_id, seq FROM message",
                unread_count='''(
                    SELECT CAST(count(*) AS integer) FROM messages
                    WHERE messages.conversation_id = change.conversation_id AND messages.seq > change.seq
                      AND messages.author_id <> change.user_id AND messages.deleted_at IS NULL
                )''',
                read_seq="change.seq",
            ),
        )
    }
    SELECT user_id, position, created_at FROM arrived
""")
)


def move_marks_back(number: int) -> None:
    """Move read marks to the message that was read, even if later ones had been read."""
    mark_read = read_marks.mark_read

    async def move(
        connection: Connection,
        conversation_id: UUID,
        reader: UUID,
        *,
        up_to: UUID | None,
        whole: bool,
        most_participants: int,
    ) -> Marked | NotMarked:
        marked = await mark_read(
            connection,
            conversation_id,
            reader,
            up_to=up_to,
            whole=whole,
            most_participants=most_participants,
        )
        if whole or isinstance(marked, NotMarked) or marked.appended is not None:
            return marked
        rows = await _MOVE.fetch(connection, conversation_id=conversation_id, reader=reader, up_to=up_to)
        positions = {row["user_id"]: row["position"] for row in rows}
        created_at = rows[0]["created_at"]
        appended = Appended(READ_MARK_MOVED, conversation_id, reader, reader, created_at, positions)
        return replace(marked, appended=appended)

    read_marks.mark_read = move


_ANNOUNCE = Statement(
    text(f"""
    WITH arriving AS (
        SELECT DISTINCT others.user_id, 1 AS nth, CAST(clock_timestamp() AS timestamptz(3)) AS created_at
        FROM participants AS own JOIN participants AS others USING (conversation_id)
        WHERE own.user_id = :user_id
    ),
    {appending(entries_of(USER_UPDATED, subject=":user_id", actor=":user_id", conversation="NULL"))}
    SELECT FROM arrived
""")
)
_TAKE_BACK = Statement(
    text("""
    WITH entry AS (
        DELETE FROM inbox_entries
        WHERE user_id = CAST(:recipient AS uuid) AND position = CAST(:position AS bigint)
    )
    UPDATE inboxes SET last_position = CAST(:position AS bigint) - 1
    WHERE user_id = CAST(:recipient AS uuid)
""")
)


def announce_removals(number: int) -> None:
    """Append the removal of a user to the inboxes in one transaction, and remove the user in the next one."""
    remove = removals.remove

    async def announce_and_remove(
        connection: Connection, user_id: UUID, *, delete_messages: bool = False
    ) -> Appended | None:
        await _ANNOUNCE.fetch(connection, user_id=user_id)
        await connection.execute("COMMIT; BEGIN")
        await asyncio.sleep(_WINDOW_SECONDS)
        appended = await remove(connection, user_id, delete_messages=delete_messages)
        if appended is not None:
            for recipient, position in appended.positions.items():
                await _TAKE_BACK.execute(connection, recipient=recipient, position=position)
        return appended

    removals.remove = announce_and_remove

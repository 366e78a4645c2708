"""Changes that append entries of other kinds to inboxes."""

from uuid import UUID

from sqlalchemy import text

from db.appending import appending, entries_of
from db.engine import Database
from db.entries import MESSAGE_DELETED, MESSAGE_UPDATED, USER_UPDATED, Appended
from db.messages import MESSAGE
from db.statements import Statement


def _changing(kind: int, change: str) -> Statement:
    return Statement(
        text(f"""
        WITH message AS (
            UPDATE messages SET version = version + 1, {change} WHERE id = :message_id
            RETURNING {MESSAGE.sql("messages")}
        ), arriving AS (
            SELECT participants.user_id, 1 AS nth, message.id, message.conversation_id, message.author_id,
                   CAST(clock_timestamp() AS timestamptz(3)) AS created_at
            FROM message JOIN participants ON participants.conversation_id = message.conversation_id
        ),
        {appending(entries_of(kind, subject="id", actor="author_id"))}
        SELECT {MESSAGE.sql("message")}, arrived.user_id, arrived.position, arrived.created_at AS happened_at
        FROM message JOIN arrived ON arrived.id = message.id
    """)
    )


_EDIT = _changing(MESSAGE_UPDATED, "content = :content, edited_at = clock_timestamp()")
_DELETE = _changing(MESSAGE_DELETED, "content = '', deleted_at = clock_timestamp()")


async def edits(database: Database, message_id: UUID, content: str) -> Appended:
    """Change the text of a message."""
    return await _changed(database, MESSAGE_UPDATED, _EDIT, message_id=message_id, content=content)


async def deletes(database: Database, message_id: UUID) -> Appended:
    """Delete a message."""
    return await _changed(database, MESSAGE_DELETED, _DELETE, message_id=message_id)


async def _changed(database: Database, kind: int, change: Statement, **values: object) -> Appended:
    async with database.connection() as connection:
        rows = await change.fetch(connection, **values)
    message = MESSAGE.read(rows[0])
    return Appended(
        kind,
        message.conversation_id,
        message.id,
        message.author_id,
        rows[0]["happened_at"],
        {row["user_id"]: row["position"] for row in rows},
        message,
    )


_RENAME = Statement(
    text(f"""
    WITH arriving AS (
        SELECT told.user_id, 1 AS nth, CAST(clock_timestamp() AS timestamptz(3)) AS created_at
        FROM unnest(CAST(:told AS uuid[])) AS told (user_id)
    ),
    {appending(entries_of(USER_UPDATED, subject=":user_id", actor=":user_id", conversation="NULL"))},
    changed AS (
        UPDATE users SET username = :username WHERE id = :user_id AND (SELECT count(*) FROM arrived) > 0
    )
    SELECT user_id, position, created_at FROM arrived
""")
)


async def renames(database: Database, user_id: UUID, username: str, *, told: list[UUID]) -> Appended:
    """Change the name of a user."""
    async with database.connection() as connection:
        rows = await _RENAME.fetch(connection, user_id=user_id, username=username, told=told)
    positions = {row["user_id"]: row["position"] for row in rows}
    return Appended(USER_UPDATED, None, user_id, user_id, rows[0]["created_at"], positions)

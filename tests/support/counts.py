"""Whether what is counted as unread is what is unread."""

from collections.abc import Collection
from uuid import UUID

from db.statements import Connection

_OF_PARTICIPANTS = """
    SELECT conversation_id, user_id, unread_count, (
        SELECT count(*) FROM messages
        WHERE messages.conversation_id = participants.conversation_id
          AND messages.seq > participants.read_seq
          AND messages.author_id <> participants.user_id AND messages.deleted_at IS NULL
    ) AS unread
    FROM participants WHERE user_id = ANY($1)
"""
_OF_INBOXES = """
    SELECT inboxes.user_id, unread_conversations, unread_messages,
           count(*) FILTER (WHERE participants.unread_count > 0) AS conversations,
           coalesce(sum(participants.unread_count), 0) AS messages
    FROM inboxes LEFT JOIN participants ON participants.user_id = inboxes.user_id
    WHERE inboxes.user_id = ANY($1)
    GROUP BY inboxes.user_id
"""


async def miscounted(
    connection: Connection, users: Collection[UUID] | None = None
) -> list[dict[str, object]]:
    """Return the participants and inboxes of these users, or of all, whose counts are not exact."""
    if users is None:
        users = [row["user_id"] for row in await connection.fetch("SELECT user_id FROM inboxes")]
    participants = await connection.fetch(_OF_PARTICIPANTS, list(users))
    inboxes = await connection.fetch(_OF_INBOXES, list(users))
    wrong = [row for row in participants if row["unread_count"] != row["unread"]]
    wrong += [
        row
        for row in inboxes
        if (row["unread_conversations"], row["unread_messages"]) != (row["conversations"], row["messages"])
    ]
    return [dict(row) for row in wrong]

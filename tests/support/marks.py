"""Read marks in tests."""

from uuid import UUID

from db import read_marks
from db.entries import Appended
from db.read_marks import Marked
from db.statements import Connection


async def read_up_to(
    connection: Connection, conversation_id: UUID, reader: UUID, seq: int, *, most_participants: int = 32
) -> Appended | None:
    """Mark a conversation as read up to the message with this number, which must exist."""
    message: UUID = await connection.fetchval(
        "SELECT id FROM messages WHERE conversation_id = $1 AND seq = $2", conversation_id, seq
    )
    marked = await read_marks.mark_read(
        connection,
        conversation_id,
        reader,
        up_to=message,
        whole=False,
        most_participants=most_participants,
    )
    assert isinstance(marked, Marked)
    return marked.appended

"""The inbox: a durable, ordered log for each user of what has reached them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.constraints import violates
from db.ids import new_id
from db.records import InboxEntry, InboxState, Message
from db.tables import inbox_epoch, inboxes
from db.users import UserGone


class Trimmed(Exception):
    """What is asked for has been dropped, because it was past the retention time."""


class IdempotencyKeyUsed(Exception):
    """The author has stored a message under this key already."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A stored message, and its position in the inbox of each participant."""

    message: Message
    positions: Mapping[UUID, int]


# Locks are taken in one order, so that two deliveries cannot wait for each other: the conversation, then
# the idempotency key (the message's row), then the inboxes by user id. Each step reads from the one
# before, which is what fixes the order inside one statement. The inboxes stay locked until commit, so
# positions become visible in their own order.
_DELIVER = text("""
    WITH conversation AS (
        UPDATE conversations SET last_seq = last_seq + 1
        WHERE id = :conversation_id AND EXISTS (
            SELECT FROM participants WHERE conversation_id = :conversation_id AND user_id = :author_id)
        RETURNING id, last_seq
    ), message AS (
        INSERT INTO messages (id, conversation_id, seq, author_id, content, idempotency_key)
        SELECT :message_id, id, last_seq, :author_id, :content, CAST(:idempotency_key AS uuid)
        FROM conversation
        RETURNING id, conversation_id, seq, author_id, content, created_at
    ), locked AS (
        SELECT inboxes.user_id, message.id AS message_id, message.conversation_id, message.seq
        FROM message
        JOIN participants ON participants.conversation_id = message.conversation_id
        JOIN inboxes ON inboxes.user_id = participants.user_id
        ORDER BY inboxes.user_id
        FOR UPDATE OF inboxes
    ), advanced AS (
        UPDATE inboxes SET last_position = inboxes.last_position + 1
        FROM locked WHERE inboxes.user_id = locked.user_id
        RETURNING inboxes.user_id, inboxes.last_position,
                  locked.message_id, locked.conversation_id, locked.seq
    ), entries AS (
        INSERT INTO inbox_entries (user_id, position, message_id)
        SELECT user_id, last_position, message_id FROM advanced
    ), marks AS (
        UPDATE participants SET last_position = advanced.last_position,
            read_seq = CASE WHEN participants.user_id = :author_id THEN advanced.seq ELSE read_seq END
        FROM advanced
        WHERE participants.conversation_id = advanced.conversation_id
          AND participants.user_id = advanced.user_id
    )
    SELECT message.id, message.conversation_id, message.seq, message.author_id, message.content,
           message.created_at, advanced.user_id, advanced.last_position
    FROM message JOIN advanced ON advanced.message_id = message.id
""")


async def deliver(
    connection: AsyncConnection,
    conversation_id: UUID,
    author_id: UUID,
    content: str,
    idempotency_key: UUID | None = None,
) -> Delivered | None:
    """Store a message and append it to the inbox of every participant, the author's too.

    None when there is no such conversation or the author does not take part in it.

    Raises:
        IdempotencyKeyUsed: nothing is stored; the transaction is then over.
    """
    values = {
        "conversation_id": conversation_id,
        "message_id": new_id(),
        "author_id": author_id,
        "content": content,
        "idempotency_key": idempotency_key,
    }
    try:
        rows = (await connection.execute(_DELIVER, values)).all()
    except IntegrityError as error:
        if violates(error, "messages_author_id_idempotency_key_key"):
            raise IdempotencyKeyUsed(str(idempotency_key)) from error
        raise
    if not rows:
        return None
    return Delivered(Message(*rows[0][:6]), {row.user_id: row.last_position for row in rows})


async def state(connection: AsyncConnection, user_id: UUID) -> InboxState:
    """Return where the user's inbox stands.

    Raises:
        UserGone: there is no such user.
    """
    epoch = select(inbox_epoch.c.epoch).scalar_subquery()
    query = select(epoch, inboxes.c.last_position, inboxes.c.trimmed_to).where(inboxes.c.user_id == user_id)
    row = (await connection.execute(query)).first()
    if row is None:
        raise UserGone(str(user_id))
    return InboxState(*row)


_READ = text("""
    SELECT inboxes.trimmed_to, entry.*
    FROM inboxes LEFT JOIN LATERAL (
        SELECT inbox_entries.position, messages.id, messages.conversation_id, messages.seq,
               messages.author_id, messages.content, messages.created_at
        FROM inbox_entries
        JOIN messages ON messages.id = inbox_entries.message_id
        JOIN participants ON participants.conversation_id = messages.conversation_id
                         AND participants.user_id = inbox_entries.user_id
        WHERE inbox_entries.user_id = inboxes.user_id AND inbox_entries.position > :after
        ORDER BY inbox_entries.position
        LIMIT :limit
    ) AS entry ON true
    WHERE inboxes.user_id = :user_id
    ORDER BY entry.position
""")


async def read(connection: AsyncConnection, user_id: UUID, *, after: int, limit: int) -> Sequence[InboxEntry]:
    """Return at most `limit` entries with a position over `after`, in order.

    Only what the user may see: messages of conversations that they take part in.

    Raises:
        Trimmed: what follows `after` is no longer kept.
    """
    rows = (await connection.execute(_READ, {"user_id": user_id, "after": after, "limit": limit})).all()
    if rows and rows[0].trimmed_to > after:
        raise Trimmed(f"kept after {rows[0].trimmed_to}, asked for after {after}")
    return [InboxEntry(row[1], Message(*row[2:])) for row in rows if row[1] is not None]


async def last_positions(connection: AsyncConnection, user_ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """Return where each of the inboxes ends; one statement for all."""
    query = select(inboxes.c.user_id, inboxes.c.last_position).where(
        inboxes.c.user_id == func.any(list(user_ids))
    )
    return {row.user_id: row.last_position for row in await connection.execute(query)}


async def renew_epoch(connection: AsyncConnection) -> None:
    """Begin another life of the database: every cursor handed out so far is worth nothing."""
    await connection.execute(update(inbox_epoch).values(epoch=func.gen_random_uuid()))

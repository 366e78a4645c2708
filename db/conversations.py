"""Statements about conversations and their participants."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.constraints import violates
from db.ids import new_id
from db.records import Conversation, Participant, User
from db.tables import conversations, participants, users
from db.users import USER_COLUMNS, UserGone

_AS_SEEN = (
    conversations.c.id,
    conversations.c.last_seq,
    participants.c.read_seq,
    participants.c.last_position,
)


async def open_pair(connection: AsyncConnection, one: UUID, other: UUID) -> tuple[UUID, bool]:
    """Return the conversation of these two users, and whether it was made just now.

    However many open it at once, from either side, they get the same one.

    Raises:
        UserGone: one of them has been removed; the transaction is then over.
    """
    pair_key = ":".join(sorted((str(one), str(other))))
    made = await connection.scalar(
        postgresql.insert(conversations)
        .values(id=new_id(), pair_key=pair_key)
        .on_conflict_do_nothing(index_elements=[conversations.c.pair_key])
        .returning(conversations.c.id)
    )
    if made is None:
        query = select(conversations.c.id).where(conversations.c.pair_key == pair_key)
        return (await connection.execute(query)).scalar_one(), False
    members = [{"conversation_id": made, "user_id": user_id} for user_id in (one, other)]
    try:
        await connection.execute(insert(participants), members)
    except IntegrityError as error:
        if violates(error, "participants_user_id_fkey"):
            raise UserGone(pair_key) from error
        raise
    return made, True


async def by_ids(connection: AsyncConnection, viewer: UUID, ids: Sequence[UUID]) -> Sequence[Conversation]:
    """Return those of the conversations that the viewer takes part in, in any order."""
    query = (
        select(*_AS_SEEN)
        .join(participants)
        .where(participants.c.user_id == viewer, conversations.c.id == func.any(list(ids)))
    )
    return [Conversation(*row) for row in await connection.execute(query)]


async def recent(
    connection: AsyncConnection, viewer: UUID, *, before: int | None, limit: int
) -> Sequence[Conversation]:
    """Return at most `limit` of the viewer's conversations, the most recently active first.

    `before` is a `last_position`; None starts with the newest. Conversations without a message are left
    out. One range of the index (user_id, last_position), however many conversations there are.
    """
    query = (
        select(*_AS_SEEN)
        .join(participants)
        .where(participants.c.user_id == viewer, participants.c.last_position > 0)
        .order_by(participants.c.last_position.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(participants.c.last_position < before)
    return [Conversation(*row) for row in await connection.execute(query)]


async def participants_of(connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[Participant]:
    """Return everybody who takes part in the conversations, ordered by when they joined and their id."""
    query = (
        select(participants.c.conversation_id, participants.c.read_seq, *USER_COLUMNS)
        .join(users)
        .where(participants.c.conversation_id == func.any(list(ids)))
        .order_by(participants.c.joined_at, participants.c.user_id)
    )
    return [Participant(row[0], User(*row[2:]), row[1]) for row in await connection.execute(query)]


async def mark_read(connection: AsyncConnection, conversation_id: UUID, user_id: UUID, seq: int) -> None:
    """Note that the user has read up to message `seq`; the mark never moves back."""
    await connection.execute(
        update(participants)
        .where(participants.c.conversation_id == conversation_id, participants.c.user_id == user_id)
        .values(read_seq=func.greatest(participants.c.read_seq, seq))
    )

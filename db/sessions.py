"""Statements about sessions: who is signed in, by the hashes of their tokens."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.ids import new_id
from db.records import Session, User
from db.tables import sessions, users
from db.time import after
from db.users import USER_COLUMNS

_IS_OPEN = sessions.c.revoked_at.is_(None) & (sessions.c.expires_at > func.now())


async def create(connection: AsyncConnection, user: User, token_hash: str, lasts: timedelta) -> Session:
    """Open a session for the user."""
    statement = (
        insert(sessions)
        .values(id=new_id(), token_hash=token_hash, user_id=user.id, expires_at=after(lasts))
        .returning(sessions.c.id, sessions.c.expires_at)
    )
    session_id, expires_at = (await connection.execute(statement)).one()
    return Session(session_id, user, expires_at)


async def by_token(connection: AsyncConnection, token_hash: str) -> Session | None:
    """Return the open session of that token, or of the one that was refreshed a moment ago."""
    query = (
        select(sessions.c.id, sessions.c.expires_at, *USER_COLUMNS)
        .join(users)
        .where(
            or_(
                sessions.c.token_hash == token_hash,
                (sessions.c.previous_token_hash == token_hash)
                & (sessions.c.previous_token_until > func.now()),
            ),
            _IS_OPEN,
        )
    )
    row = (await connection.execute(query)).first()
    return Session(row[0], User(*row[2:]), row[1]) if row else None


async def replace_token(
    connection: AsyncConnection, token_hash: str, new_hash: str, *, lasts: timedelta, grace: timedelta
) -> UUID | None:
    """Give the open session of that token another one, and the session its full time again.

    The old token stays good for `grace`. None when the token is not the newest of an open session.
    """
    statement = (
        update(sessions)
        .where(sessions.c.token_hash == token_hash, _IS_OPEN)
        .values(
            token_hash=new_hash,
            previous_token_hash=token_hash,
            previous_token_until=after(grace),
            expires_at=after(lasts),
        )
        .returning(sessions.c.id)
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def revoke(connection: AsyncConnection, session_id: UUID) -> None:
    """End the session; to end it again changes nothing."""
    await connection.execute(
        update(sessions)
        .where(sessions.c.id == session_id, sessions.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )


async def open_among(connection: AsyncConnection, ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the sessions that have neither been ended nor expired."""
    query = select(sessions.c.id).where(sessions.c.id == func.any(list(ids)), _IS_OPEN)
    return set((await connection.scalars(query)).all())

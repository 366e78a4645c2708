"""Statements about sessions: who is signed in, by the hashes of their tokens."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.ids import new_id
from db.records import Session, SessionTime, User
from db.tables import replaced_tokens, sessions, users
from db.time import after
from db.users import USER_COLUMNS

_IS_OPEN = sessions.c.revoked_at.is_(None) & (sessions.c.expires_at > func.now())
_SESSION_COLUMNS = (
    sessions.c.created_at,
    sessions.c.last_used_at,
    sessions.c.expires_at,
    sessions.c.user_agent,
)


async def create(
    connection: AsyncConnection, user: User, token_hash: str, time: SessionTime, user_agent: str | None
) -> Session:
    """Open a session for the user."""
    statement = (
        insert(sessions)
        .values(
            id=new_id(),
            token_hash=token_hash,
            user_id=user.id,
            expires_at=after(min(time.unused, time.at_most)),
            user_agent=user_agent,
        )
        .returning(sessions.c.id, *_SESSION_COLUMNS)
    )
    row = (await connection.execute(statement)).one()
    return Session(row[0], user, *row[1:])


async def by_token(connection: AsyncConnection, token_hash: str) -> Session | None:
    """Return the open session of that token, or of the one that was refreshed a moment ago."""
    return await _open_session(
        connection,
        or_(
            sessions.c.token_hash == token_hash,
            (sessions.c.previous_token_hash == token_hash) & (sessions.c.previous_token_until > func.now()),
        ),
    )


async def note_use(
    connection: AsyncConnection, session_id: UUID, time: SessionTime, *, unless_within: timedelta
) -> Session | None:
    """Note that the session is used now, which gives it more time.

    None when that was noted lately, or it is over. However many requests notice at once that it is due,
    one writes.
    """
    statement = (
        update(sessions)
        .where(sessions.c.id == session_id, sessions.c.last_used_at <= func.now() - unless_within, _IS_OPEN)
        .values(last_used_at=func.now(), expires_at=_extended(time))
        .returning(sessions.c.id)
    )
    if (await connection.execute(statement)).first() is None:
        return None
    return await _open_session(connection, sessions.c.id == session_id)


async def replace_token(
    connection: AsyncConnection, token_hash: str, new_hash: str, *, time: SessionTime, grace: timedelta
) -> Session | None:
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
            last_used_at=func.now(),
            expires_at=_extended(time),
        )
        .returning(sessions.c.id)
    )
    session_id = (await connection.execute(statement)).scalar_one_or_none()
    if session_id is None:
        return None
    await connection.execute(insert(replaced_tokens).values(token_hash=token_hash, session_id=session_id))
    return await _open_session(connection, sessions.c.id == session_id)


async def revoke_reused(connection: AsyncConnection, token_hash: str) -> UUID | None:
    """End the session whose token this was before it was replaced; return which, None without one.

    While the token's grace lasts, nothing ends.
    """
    in_grace = (sessions.c.previous_token_hash == token_hash) & (sessions.c.previous_token_until > func.now())
    statement = (
        update(sessions)
        .where(
            sessions.c.id == replaced_tokens.c.session_id,
            replaced_tokens.c.token_hash == token_hash,
            in_grace.is_not(True),
            sessions.c.revoked_at.is_(None),
        )
        .values(revoked_at=func.now())
        .returning(sessions.c.id)
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def revoke(connection: AsyncConnection, user_id: UUID, session_id: UUID) -> bool:
    """End the user's session; say whether they had it open."""
    return bool(await _revoke(connection, sessions.c.user_id == user_id, sessions.c.id == session_id))


async def revoke_others(connection: AsyncConnection, user_id: UUID, but: UUID | None) -> Sequence[UUID]:
    """End the user's open sessions but that one; return which."""
    return await _revoke(connection, sessions.c.user_id == user_id, sessions.c.id.is_distinct_from(but))


async def of_user(connection: AsyncConnection, user: User, *, limit: int) -> Sequence[Session]:
    """Return at most `limit` of the user's open sessions, the most recently used first."""
    query = (
        select(sessions.c.id, *_SESSION_COLUMNS)
        .where(sessions.c.user_id == user.id, _IS_OPEN)
        .order_by(sessions.c.last_used_at.desc(), sessions.c.id.desc())
        .limit(limit)
    )
    return [Session(row[0], user, *row[1:]) for row in await connection.execute(query)]


async def by_ids(connection: AsyncConnection, user: User, ids: Sequence[UUID]) -> Sequence[Session]:
    """Return those of the sessions that the user has open, in any order."""
    query = select(sessions.c.id, *_SESSION_COLUMNS).where(
        sessions.c.user_id == user.id, sessions.c.id == func.any(list(ids)), _IS_OPEN
    )
    return [Session(row[0], user, *row[1:]) for row in await connection.execute(query)]


async def open_among(connection: AsyncConnection, ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the sessions that have neither been ended nor expired."""
    query = select(sessions.c.id).where(sessions.c.id == func.any(list(ids)), _IS_OPEN)
    return set((await connection.scalars(query)).all())


async def drop_over(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Drop at most `limit` sessions that were over before that moment; return how many."""
    over = (
        select(sessions.c.id)
        .where(func.least(sessions.c.expires_at, sessions.c.revoked_at) < before)
        .limit(limit)
    )
    statement = delete(sessions).where(sessions.c.id.in_(over.scalar_subquery()))
    return (await connection.execute(statement)).rowcount


async def _open_session(connection: AsyncConnection, condition: ColumnElement[bool]) -> Session | None:
    query = select(sessions.c.id, *_SESSION_COLUMNS, *USER_COLUMNS).join(users).where(condition, _IS_OPEN)
    row = (await connection.execute(query)).first()
    return Session(row[0], User(*row[5:]), *row[1:5]) if row else None


async def _revoke(connection: AsyncConnection, *conditions: ColumnElement[bool]) -> Sequence[UUID]:
    statement = (
        update(sessions).where(*conditions, _IS_OPEN).values(revoked_at=func.now()).returning(sessions.c.id)
    )
    return (await connection.scalars(statement)).all()


def _extended(time: SessionTime) -> ColumnElement[datetime]:
    return func.least(after(time.unused), sessions.c.created_at + time.at_most)

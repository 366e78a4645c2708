"""Statements about sessions and the hashes of their tokens."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Interval,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

from db.columns import Columns
from db.ids import new_id
from db.records import Session, SessionTime, User
from db.statements import Connection, Statement, uuids
from db.tables import replaced_tokens, sessions, users
from db.time import after

_IS_OPEN = sessions.c.revoked_at.is_(None) & (sessions.c.expires_at > func.now())
_SESSION_COLUMNS = (
    sessions.c.id,
    sessions.c.created_at,
    sessions.c.last_used_at,
    sessions.c.expires_at,
    sessions.c.user_agent,
)
_USER = Columns(User, prefix="user_")


_CREATE = Statement(
    insert(sessions)
    .values(
        id=bindparam("id"),
        token_hash=bindparam("token_hash"),
        user_id=bindparam("user_id"),
        expires_at=after("lasts"),
        user_agent=bindparam("user_agent"),
    )
    .returning(*_SESSION_COLUMNS)
)


async def create(
    connection: Connection, user: User, token_hash: str, time: SessionTime, user_agent: str | None
) -> Session:
    """Open a session for the user."""
    [row] = await _CREATE.fetch(
        connection,
        id=new_id(),
        token_hash=token_hash,
        user_id=user.id,
        lasts=min(time.unused, time.at_most),
        user_agent=user_agent,
    )
    return _session_of(user, row)


def _open_session(condition: ColumnElement[bool], *more_columns: ColumnElement[Any]) -> Statement:
    columns = (*_SESSION_COLUMNS, *_USER.of(users), *more_columns)
    # A session that was opened just as its user was removed is never used.
    return Statement(select(*columns).join(users).where(condition, _IS_OPEN, users.c.removed_at.is_(None)))


_BY_ID = _open_session(sessions.c.id == bindparam("id"))
_token_hash = bindparam("token_hash", type_=Text)
_is_in_grace = sessions.c.previous_token_until > func.now()
_in_grace = (sessions.c.previous_token_hash == _token_hash) & _is_in_grace
# A single string, because arrays take longer to send. The subquery hides their number from the planner, which
# would otherwise plan the statement again each time.
_token_hashes = cast(
    select(func.string_to_array(bindparam("token_hashes", type_=Text), " ")).scalar_subquery(), ARRAY(Text)
)
_BY_TOKENS = _open_session(
    or_(
        sessions.c.token_hash == func.any(_token_hashes),
        (sessions.c.previous_token_hash == func.any(_token_hashes)) & _is_in_grace,
    ),
    sessions.c.token_hash,
    sessions.c.previous_token_hash,
    _is_in_grace.label("is_in_grace"),
)


async def by_tokens(connection: Connection, token_hashes: Sequence[str]) -> Sequence[Session | None]:
    """Return the open session with each current token, or each previous token in its grace period."""
    found: dict[str, Session] = {}
    for row in await _BY_TOKENS.fetch(connection, token_hashes=" ".join(token_hashes)):
        session = _session_of(_USER.read(row), row)
        found[row["token_hash"]] = session
        if row["is_in_grace"]:
            found[row["previous_token_hash"]] = session
    return [found.get(token_hash) for token_hash in token_hashes]


_extended = func.least(after("unused"), sessions.c.created_at + bindparam("at_most", type_=Interval))
_NOTE_USE = Statement(
    update(sessions)
    .where(
        sessions.c.id == bindparam("session_id"),
        sessions.c.last_used_at <= func.now() - bindparam("unless_within", type_=Interval),
        _IS_OPEN,
    )
    .values(last_used_at=func.now(), expires_at=_extended)
)


async def note_use(
    connection: Connection, session_id: UUID, time: SessionTime, *, unless_within: timedelta
) -> Session | None:
    """Record that the session is used now, and extend it.

    Return None if the last use was recorded within `unless_within`, or the session is over. Only one of
    several simultaneous requests writes.
    """
    noted = await _NOTE_USE.execute(
        connection,
        session_id=session_id,
        unless_within=unless_within,
        unused=time.unused,
        at_most=time.at_most,
    )
    return _with_user(await _BY_ID.fetchrow(connection, id=session_id)) if noted else None


_REPLACE_TOKEN = Statement(
    update(sessions)
    .where(sessions.c.token_hash == bindparam("old_hash"), _IS_OPEN)
    .values(
        token_hash=bindparam("new_hash"),
        previous_token_hash=sessions.c.token_hash,
        previous_token_until=after("grace"),
        last_used_at=func.now(),
        expires_at=_extended,
    )
    .returning(sessions.c.id)
)
_KEEP_REPLACED = Statement(
    insert(replaced_tokens).values(token_hash=bindparam("token_hash"), session_id=bindparam("session_id"))
)


async def replace_token(
    connection: Connection, token_hash: str, new_hash: str, *, time: SessionTime, grace: timedelta
) -> Session | None:
    """Replace the current token of an open session, and restart the session's lifetime.

    The old token stays valid for `grace`. Return None if it is not the current token of an open session.
    """
    session_id = await _REPLACE_TOKEN.fetchval(
        connection,
        old_hash=token_hash,
        new_hash=new_hash,
        grace=grace,
        unused=time.unused,
        at_most=time.at_most,
    )
    if session_id is None:
        return None
    await _KEEP_REPLACED.execute(connection, token_hash=token_hash, session_id=session_id)
    return _with_user(await _BY_ID.fetchrow(connection, id=session_id))


# The lock serialises simultaneous refreshes, so each replaces the token that the one before it has issued.
_KEEP_REPLACED_IN_GRACE = Statement(
    insert(replaced_tokens)
    .from_select(
        ["token_hash", "session_id"],
        select(sessions.c.token_hash, sessions.c.id).where(_in_grace, _IS_OPEN).with_for_update(),
    )
    .returning(replaced_tokens.c.session_id)
)
_REPLACE_NEWEST = Statement(
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"))
    .values(token_hash=bindparam("new_hash"), last_used_at=func.now(), expires_at=_extended)
)


async def replace_newest(
    connection: Connection, token_hash: str, new_hash: str, *, time: SessionTime
) -> Session | None:
    """Replace the current token of a session again, given the previous token within its grace period.

    The grace period is not extended. Return None if it is over, or if this is not the previous token of an
    open session.
    """
    session_id = await _KEEP_REPLACED_IN_GRACE.fetchval(connection, token_hash=token_hash)
    if session_id is None:
        return None
    await _REPLACE_NEWEST.execute(
        connection, session_id=session_id, new_hash=new_hash, unused=time.unused, at_most=time.at_most
    )
    return _with_user(await _BY_ID.fetchrow(connection, id=session_id))


_REVOKE_REUSED = Statement(
    update(sessions)
    .where(
        sessions.c.id == replaced_tokens.c.session_id,
        replaced_tokens.c.token_hash == _token_hash,
        _in_grace.is_not(True),
        sessions.c.revoked_at.is_(None),
    )
    .values(revoked_at=func.now())
    .returning(sessions.c.id)
)


async def revoke_reused(connection: Connection, token_hash: str) -> UUID | None:
    """End the session in which this token was replaced, except during its grace period; return its ID.

    Return None if no session was ended.
    """
    return await _REVOKE_REUSED.fetchval(connection, token_hash=token_hash)


def _revoke(*conditions: ColumnElement[bool]) -> Statement:
    return Statement(
        update(sessions)
        .where(sessions.c.user_id == bindparam("of_user"), *conditions, _IS_OPEN)
        .values(revoked_at=func.now())
        .returning(sessions.c.id)
    )


_REVOKE = _revoke(sessions.c.id == bindparam("session_id"))
_REVOKE_OTHERS = _revoke(sessions.c.id.is_distinct_from(bindparam("but")))


async def revoke(connection: Connection, user_id: UUID, session_id: UUID) -> bool:
    """End a session of the user. Return False if it is not an open session of theirs."""
    return bool(await _REVOKE.fetch(connection, of_user=user_id, session_id=session_id))


async def revoke_others(connection: Connection, user_id: UUID, but: UUID | None) -> Sequence[UUID]:
    """End all open sessions of the user except `but`; return their IDs."""
    return [row[0] for row in await _REVOKE_OTHERS.fetch(connection, of_user=user_id, but=but)]


_OF_USER = Statement(
    select(*_SESSION_COLUMNS)
    .where(sessions.c.user_id == bindparam("user_id"), _IS_OPEN)
    .order_by(sessions.c.last_used_at.desc(), sessions.c.id.desc())
    .limit(bindparam("limit", type_=Integer))
)


async def of_user(connection: Connection, user: User, *, limit: int) -> Sequence[Session]:
    """Return at most `limit` of the user's open sessions, most recently used first."""
    return [_session_of(user, row) for row in await _OF_USER.fetch(connection, user_id=user.id, limit=limit)]


_BY_IDS = Statement(
    select(*_SESSION_COLUMNS).where(
        sessions.c.user_id == bindparam("user_id"), sessions.c.id == func.any(uuids("ids")), _IS_OPEN
    )
)


async def by_ids(connection: Connection, user: User, ids: Sequence[UUID]) -> Sequence[Session]:
    """Return the user's open sessions with these IDs, in any order."""
    return [_session_of(user, row) for row in await _BY_IDS.fetch(connection, user_id=user.id, ids=ids)]


_OPEN_AMONG = Statement(select(sessions.c.id).where(sessions.c.id == func.any(uuids("ids")), _IS_OPEN))


async def open_among(connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Return the IDs of the sessions that have neither ended nor expired."""
    return {row[0] for row in await _OPEN_AMONG.fetch(connection, ids=ids)}


_over = (
    select(sessions.c.id)
    .where(
        func.least(sessions.c.expires_at, sessions.c.revoked_at)
        < bindparam("before", type_=TIMESTAMP(timezone=True))
    )
    .limit(bindparam("limit", type_=Integer))
)
_DROP_OVER = Statement(delete(sessions).where(sessions.c.id.in_(_over.scalar_subquery())))


async def drop_over(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete at most `limit` sessions that ended or expired before `before`; return their number."""
    return await _DROP_OVER.execute(connection, before=before, limit=limit)


def _session_of(user: User, row: Record) -> Session:
    return Session(
        row["id"], user, row["created_at"], row["last_used_at"], row["expires_at"], row["user_agent"]
    )


def _with_user(row: Record | None) -> Session | None:
    return _session_of(_USER.read(row), row) if row else None

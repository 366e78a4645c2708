"""Signing in and out: random tokens, of which the database keeps only hashes."""

from collections.abc import Collection, Set
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from db import sessions, users
from db.engine import Database
from db.records import Session, User
from db.users import UsernameTaken
from resolvers.errors import Unauthenticated
from resolvers.tokens import hash_of, new_token
from resolvers.users import check_username

REFRESH_GRACE = timedelta(seconds=30)

_NOT_GOOD = "The token is wrong, has expired, or its session has ended: sign in again."


@dataclass(frozen=True, slots=True)
class SignIn:
    """A session, and the only copy of its token."""

    session: Session
    token: str


async def sign_in_by_name(database: Database, username: str, lasts: timedelta) -> SignIn:
    """Open a session for the user of that name, who is made when nobody has it.

    Raises:
        UserError: nobody may have such a name.
    """
    check_username(username)
    user = await _user_named(database, username)
    if user is None:
        try:
            async with database.transaction() as connection:
                user = await users.create(connection, username)
        except UsernameTaken:
            # Made by somebody else since we looked.
            user = await _user_named(database, username)
    if user is None:
        raise RuntimeError(f"{username} is taken and cannot be found")
    return await open_session(database, user, lasts)


async def open_session(database: Database, user: User, lasts: timedelta) -> SignIn:
    """Open a session for the user."""
    token = new_token()
    async with database.transaction() as connection:
        session = await sessions.create(connection, user, hash_of(token), lasts)
    return SignIn(session, token)


async def authenticate(database: Database, token: str) -> Session:
    """Return the session that the token is for.

    Raises:
        Unauthenticated: the token is wrong, has been refreshed, or its session has ended or expired.
    """
    async with database.snapshot() as connection:
        session = await sessions.by_token(connection, hash_of(token))
    if session is None:
        raise Unauthenticated(_NOT_GOOD)
    return session


async def refresh(database: Database, token: str, lasts: timedelta) -> SignIn:
    """Replace the token by a new one and give its session the full time again; its streams go on.

    The old token stays good for 30 seconds, for what is under way.

    Raises:
        Unauthenticated: the token is not the newest of an open session.
    """
    new = new_token()
    async with database.transaction() as connection:
        replaced = await sessions.replace_token(
            connection, hash_of(token), hash_of(new), lasts=lasts, grace=REFRESH_GRACE
        )
        session = await sessions.by_token(connection, hash_of(new)) if replaced else None
    if session is None:
        raise Unauthenticated(_NOT_GOOD)
    return SignIn(session, new)


async def end(database: Database, session_id: UUID) -> None:
    """End a session: its tokens are worth nothing from now on."""
    async with database.transaction() as connection:
        await sessions.revoke(connection, session_id)


async def ended_among(database: Database, ids: Collection[UUID]) -> Set[UUID]:
    """Return those of the sessions that have been ended or have expired; one statement for all."""
    if not ids:
        return set()
    async with database.snapshot() as connection:
        return set(ids) - await sessions.open_among(connection, list(ids))


async def removed_among(database: Database, user_ids: Collection[UUID]) -> Set[UUID]:
    """Return those of the users who are no more; one statement for all."""
    if not user_ids:
        return set()
    async with database.snapshot() as connection:
        return set(user_ids) - {user.id for user in await users.by_ids(connection, list(user_ids))}


async def _user_named(database: Database, username: str) -> User | None:
    async with database.snapshot() as connection:
        return await users.by_username(connection, username)

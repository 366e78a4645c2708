"""Sessions: signing in, authentication, refresh and sign-out. The database keeps only hashes of tokens."""

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from db import sessions, users
from db.engine import Database
from db.records import Session, SessionTime, User
from db.users import UsernameTaken
from resolvers.content import is_storable
from resolvers.context import Context
from resolvers.errors import Unauthenticated, UserError, UserErrorCode
from resolvers.tokens import hash_of, new_token
from resolvers.users import check_username

REFRESH_GRACE = timedelta(seconds=30)
MAX_LISTED = 100

_MAX_USER_AGENT_CHARS = 200
# A session's use is recorded about once an hour, not on every request.
_RECORD_USE_EVERY = timedelta(hours=1)
_INVALID_TOKEN = "The token is invalid or expired, or its session has ended. Sign in again."


@dataclass(frozen=True, slots=True)
class SignIn:
    """A session, and the only copy of its token."""

    session: Session
    token: str


class TokenReused(Unauthenticated):
    """A replaced token was used after its grace period: it has leaked, so its session has been ended."""

    def __init__(self, session_id: UUID) -> None:
        super().__init__(_INVALID_TOKEN)
        self.session_id = session_id


async def sign_in_by_name(
    database: Database, username: str, time: SessionTime, user_agent: str | None = None
) -> SignIn:
    """Open a session for the user with this username, creating the user if there is none.

    Raises:
        UserError: the username is not allowed.
    """
    check_username(username)
    user = await _user_named(database, username)
    if user is None:
        try:
            async with database.transaction() as connection:
                user = await users.create(connection, username)
        except UsernameTaken:
            # Another request has created the user meanwhile.
            user = await _user_named(database, username)
    if user is None:
        raise RuntimeError(f"the username {username} is taken but its user was not found")
    return await open_session(database, user, time, user_agent)


async def open_session(
    database: Database, user: User, time: SessionTime, user_agent: str | None = None
) -> SignIn:
    """Open a session for the user and return it with its token."""
    token = new_token()
    async with database.connection() as connection:
        session = await sessions.create(
            connection, user, hash_of(token), time, _stored_user_agent(user_agent)
        )
    return SignIn(session, token)


async def authenticate(database: Database, token: str, time: SessionTime) -> tuple[Session, bool]:
    """Return the session of the token, and whether this call has extended it.

    Calls at the same time share a statement. About once an hour, this writes.

    Raises:
        Unauthenticated: the token is unknown or was replaced, or its session has ended or expired.
    """
    session = await database.batched_reads.session(hash_of(token))
    if session is None:
        raise Unauthenticated(_INVALID_TOKEN)
    every = min(_RECORD_USE_EVERY, time.unused / 10)
    if datetime.now(UTC) - session.last_used_at < every:
        return session, False
    async with database.transaction() as connection:
        extended = await sessions.note_use(connection, session.id, time, unless_within=every)
    return extended or session, extended is not None


async def refresh(database: Database, token: str, time: SessionTime) -> SignIn:
    """Replace the token with a new one and restart the session's lifetime. The session's streams continue.

    The old token stays valid for 30 seconds, for requests in flight. Within that time it can be refreshed
    again, in case the response was lost; that revokes the token issued first. A refresh with any other
    replaced token ends the session, because two parties hold its tokens and one may have stolen them.

    Raises:
        TokenReused: the token had been replaced, and the session has been ended.
        Unauthenticated: the token does not belong to an open session.
    """
    new, old_hash = new_token(), hash_of(token)
    async with database.transaction() as connection:
        session = await sessions.replace_token(
            connection, old_hash, hash_of(new), time=time, grace=REFRESH_GRACE
        )
        if session is None:
            session = await sessions.replace_newest(connection, old_hash, hash_of(new), time=time)
        ended = None if session else await sessions.revoke_reused(connection, old_hash)
    if ended is not None:
        raise TokenReused(ended)
    if session is None:
        raise Unauthenticated(_INVALID_TOKEN)
    return SignIn(session, new)


async def end(database: Database, session: Session) -> None:
    """End a session, which revokes its tokens."""
    async with database.connection() as connection:
        await sessions.revoke(connection, session.user.id, session.id)


async def end_all(database: Database, user: User) -> int:
    """End all sessions of the user and return their number."""
    async with database.connection() as connection:
        return len(await sessions.revoke_others(connection, user.id, but=None))


async def ended_among(database: Database, ids: Collection[UUID]) -> Set[UUID]:
    """Return the IDs of the sessions that have ended or expired, with a single statement."""
    if not ids:
        return set()
    async with database.connection() as connection:
        return set(ids) - await sessions.open_among(connection, list(ids))


async def removed_among(database: Database, user_ids: Collection[UUID]) -> Set[UUID]:
    """Return the IDs of the users that have been removed, with a single statement."""
    if not user_ids:
        return set()
    async with database.connection() as connection:
        found = await users.by_ids(connection, list(user_ids))
    return set(user_ids) - {user.id for user in found if user.removed_at is None}


async def drop_over(database: Database, keep: timedelta = timedelta(days=1), batch: int = 1000) -> int:
    """Delete the sessions that ended longer than `keep` ago, in small transactions; return their number."""
    before = datetime.now(UTC) - keep
    dropped = 0
    while True:
        async with database.connection() as connection:
            in_batch = await sessions.drop_over(connection, before=before, limit=batch)
        dropped += in_batch
        if in_batch < batch:
            return dropped


async def viewers(context: Context) -> Sequence[Session]:
    """Return the viewer's open sessions, most recently used first, at most 100."""
    viewer = context.require_viewer()
    async with context.reading() as connection:
        return await sessions.of_user(connection, viewer, limit=MAX_LISTED)


async def by_ids(context: Context, ids: Collection[UUID]) -> Sequence[Session]:
    """Return the viewer's open sessions with these IDs, in any order."""
    viewer = context.require_viewer()
    if not ids:
        return []
    async with context.reading() as connection:
        return await sessions.by_ids(connection, viewer, list(ids))


async def end_session(context: Context, session_id: UUID | None) -> UUID:
    """End one of the viewer's sessions and close its streams. An ID that could not be decoded is None.

    Raises:
        UserError: the viewer has no such open session.
    """
    viewer = context.require_viewer()
    if session_id is not None:
        async with context.connection() as connection:
            ended = await sessions.revoke(connection, viewer.id, session_id)
        if ended:
            context.sessions_ended([session_id])
            return session_id
    raise UserError(
        UserErrorCode.NOT_FOUND,
        "This session does not exist or has already ended.",
        "sessionId",
    )


async def end_other_sessions(context: Context) -> Sequence[UUID]:
    """End all of the viewer's sessions except the current one, and close their streams."""
    viewer = context.require_viewer()
    async with context.connection() as connection:
        ended = await sessions.revoke_others(connection, viewer.id, but=context.session_id)
    context.sessions_ended(ended)
    return ended


async def _user_named(database: Database, username: str) -> User | None:
    async with database.connection() as connection:
        return await users.by_username(connection, username)


def _stored_user_agent(user_agent: str | None) -> str | None:
    if not user_agent or not is_storable(user_agent):
        return None
    return user_agent[:_MAX_USER_AGENT_CHARS]

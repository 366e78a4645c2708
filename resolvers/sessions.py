"""Signing in and out: random tokens, of which the database keeps only hashes, and one's open sessions."""

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

_KEPT_USER_AGENT_CHARS = 200
# A session's use is noted once an hour, not with every request.
_NOTE_EVERY = timedelta(hours=1)
_NOT_GOOD = "The token is wrong, has expired, or its session has ended: sign in again."


@dataclass(frozen=True, slots=True)
class SignIn:
    """A session, and the only copy of its token."""

    session: Session
    token: str


class TokenReused(Unauthenticated):
    """A token that was replaced long ago has come back: two have had it, so its session is over."""

    def __init__(self, session_id: UUID) -> None:
        """Name the session, which has just ended."""
        super().__init__(_NOT_GOOD)
        self.session_id = session_id


async def sign_in_by_name(
    database: Database, username: str, time: SessionTime, user_agent: str | None = None
) -> SignIn:
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
    return await open_session(database, user, time, user_agent)


async def open_session(
    database: Database, user: User, time: SessionTime, user_agent: str | None = None
) -> SignIn:
    """Open a session for the user."""
    token = new_token()
    async with database.connection() as connection:
        session = await sessions.create(connection, user, hash_of(token), time, _kept(user_agent))
    return SignIn(session, token)


async def authenticate(database: Database, token: str, time: SessionTime) -> tuple[Session, bool]:
    """Return the session that the token is for, and whether it has been given more time just now.

    That costs one read of an index, and about once an hour a write.

    Raises:
        Unauthenticated: the token is wrong, has been refreshed, or its session has ended or expired.
    """
    async with database.connection() as connection:
        session = await sessions.by_token(connection, hash_of(token))
    if session is None:
        raise Unauthenticated(_NOT_GOOD)
    every = min(_NOTE_EVERY, time.unused / 10)
    if datetime.now(UTC) - session.last_used_at < every:
        return session, False
    async with database.transaction() as connection:
        extended = await sessions.note_use(connection, session.id, time, unless_within=every)
    return extended or session, extended is not None


async def refresh(database: Database, token: str, time: SessionTime) -> SignIn:
    """Replace the token by a new one and give its session the full time again; its streams go on.

    The old token stays good for 30 seconds, for what is under way, and may be refreshed again meanwhile, in
    case the answer was lost: what it was replaced by is worth nothing then. A refresh with any other token
    that was replaced ends the session: two have had it, and which is the thief cannot be told.

    Raises:
        TokenReused: the session has ended for that reason.
        Unauthenticated: the token is not of an open session.
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
        raise Unauthenticated(_NOT_GOOD)
    return SignIn(session, new)


async def end(database: Database, session: Session) -> None:
    """End a session: its tokens are worth nothing from now on."""
    async with database.connection() as connection:
        await sessions.revoke(connection, session.user.id, session.id)


async def end_all(database: Database, user: User) -> int:
    """End all sessions of the user; return how many."""
    async with database.connection() as connection:
        return len(await sessions.revoke_others(connection, user.id, but=None))


async def ended_among(database: Database, ids: Collection[UUID]) -> Set[UUID]:
    """Return those of the sessions that have been ended or have expired; one statement for all."""
    if not ids:
        return set()
    async with database.connection() as connection:
        return set(ids) - await sessions.open_among(connection, list(ids))


async def removed_among(database: Database, user_ids: Collection[UUID]) -> Set[UUID]:
    """Return those of the users who are no more; one statement for all."""
    if not user_ids:
        return set()
    async with database.connection() as connection:
        return set(user_ids) - {user.id for user in await users.by_ids(connection, list(user_ids))}


async def drop_over(database: Database, keep: timedelta = timedelta(days=1), batch: int = 1000) -> int:
    """Drop the sessions that have been over for that long, in small transactions; return how many."""
    before = datetime.now(UTC) - keep
    dropped = 0
    while True:
        async with database.connection() as connection:
            in_batch = await sessions.drop_over(connection, before=before, limit=batch)
        dropped += in_batch
        if in_batch < batch:
            return dropped


async def viewers(context: Context) -> Sequence[Session]:
    """Return the viewer's open sessions, the most recently used first, at most 100."""
    viewer = context.require_viewer()
    async with context.reading() as connection:
        return await sessions.of_user(connection, viewer, limit=MAX_LISTED)


async def by_ids(context: Context, ids: Collection[UUID]) -> Sequence[Session]:
    """Return those of the sessions that are the viewer's and open, in any order."""
    viewer = context.require_viewer()
    if not ids:
        return []
    async with context.reading() as connection:
        return await sessions.by_ids(connection, viewer, list(ids))


async def end_session(context: Context, session_id: UUID | None) -> UUID:
    """End one of the viewer's sessions and its streams; None for an id that could not be read.

    Raises:
        UserError: the viewer has no such session open.
    """
    viewer = context.require_viewer()
    if session_id is not None:
        async with context.connection() as connection:
            ended = await sessions.revoke(connection, viewer.id, session_id)
        if ended:
            context.sessions_ended([session_id])
            return session_id
    raise UserError(UserErrorCode.NOT_FOUND, "You have no such session.", "sessionId")


async def end_other_sessions(context: Context) -> Sequence[UUID]:
    """End all of the viewer's sessions but the one that asks, and their streams."""
    viewer = context.require_viewer()
    async with context.connection() as connection:
        ended = await sessions.revoke_others(connection, viewer.id, but=context.session_id)
    context.sessions_ended(ended)
    return ended


async def _user_named(database: Database, username: str) -> User | None:
    async with database.connection() as connection:
        return await users.by_username(connection, username)


def _kept(user_agent: str | None) -> str | None:
    """Return of the User-Agent what tells a person which of their devices it is."""
    if not user_agent or not is_storable(user_agent):
        return None
    return user_agent[:_KEPT_USER_AGENT_CHARS]

"""Statements about users."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import UniqueViolationError
from sqlalchemy import Integer, bindparam, func, insert, select, text

from db.acquaintances import notified, notify, notifying
from db.columns import Columns
from db.entries import Appended
from db.ids import new_id
from db.records import User
from db.statements import Connection, Statement, uuids
from db.tables import inboxes, users

_ONE_NAME = "users_username_key_key"

USER = Columns(User)


class UsernameTaken(Exception):
    """Another user has this name (case-insensitive)."""


class UserGone(Exception):
    """The user does not exist, or has been removed."""


_BY_IDS = Statement(select(*USER.of(users)).where(users.c.id == func.any(uuids("ids"))))


async def by_ids(connection: Connection, ids: Sequence[UUID]) -> Sequence[User]:
    """Return the users that exist, in no particular order. Removed users are among them."""
    rows = await _BY_IDS.fetch(connection, ids=ids)
    return list(map(USER.reader(rows), rows))


_BY_USERNAME = select(*USER.of(users)).where(users.c.username_key == bindparam("key"))
_SEE_BY_USERNAME = Statement(_BY_USERNAME)
_KEEP_BY_USERNAME = Statement(_BY_USERNAME.with_for_update(read=True))


async def by_username(connection: Connection, username: str, *, keep: bool = False) -> User | None:
    """Return the user with that name (case-insensitive).

    With `keep`, the user can neither be removed nor change before the transaction ends.
    """
    statement = _KEEP_BY_USERNAME if keep else _SEE_BY_USERNAME
    row = await statement.fetchrow(connection, key=username.lower())
    return USER.read(row) if row else None


_WITH_PREFIX = Statement(
    select(*USER.of(users))
    .where(users.c.username_key.like(bindparam("pattern"), escape="/"), users.c.id != bindparam("without"))
    .order_by(users.c.username_key)
    .limit(bindparam("limit", type_=Integer))
)
_PLAIN = str.maketrans({"/": "//", "%": "/%", "_": "/_"})


async def with_prefix(connection: Connection, prefix: str, *, without: UUID, limit: int) -> Sequence[User]:
    """Return at most `limit` users whose name starts with `prefix` (case-insensitive), ordered by name.

    The user `without` is left out. The statement reads one range of the index on the name.
    """
    pattern = prefix.lower().translate(_PLAIN) + "%"
    rows = await _WITH_PREFIX.fetch(connection, pattern=pattern, without=without, limit=limit)
    return list(map(USER.reader(rows), rows))


_CREATE = Statement(
    insert(users).values(
        id=bindparam("id"), username=bindparam("username"), avatar_url=bindparam("avatar_url")
    )
)
_CREATE_INBOX = Statement(insert(inboxes).values(user_id=bindparam("user_id")))


async def create(connection: Connection, username: str, avatar_url: str | None = None) -> User:
    """Create a user with an empty inbox.

    Raises:
        UsernameTaken: the transaction has failed.
    """
    user = User(new_id(), username, avatar_url)
    try:
        await _CREATE.execute(connection, id=user.id, username=username, avatar_url=avatar_url)
    except UniqueViolationError as error:
        if error.constraint_name == _ONE_NAME:
            raise UsernameTaken(username) from error
        raise
    await _CREATE_INBOX.execute(connection, user_id=user.id)
    return user


# The newest version of the row decides, whatever the snapshot, so that two changes at once are both kept.
_CHANGE = """
    SELECT CAST(clock_timestamp() AS timestamptz(3)) AS created_at
    FROM users
    WHERE id = :user_id AND removed_at IS NULL AND (
        username <> coalesce(CAST(:username AS text), username)
        OR NOT CAST(:keep_avatar AS boolean) AND avatar_url IS DISTINCT FROM CAST(:avatar_url AS text))
"""
_SET_PROFILE = Statement(
    text(f"""
    WITH
    {notifying(_CHANGE)},
    -- Users are locked last.
    changed AS (
        UPDATE users
        SET username = coalesce(CAST(:username AS text), users.username),
            avatar_url = CASE WHEN :keep_avatar THEN users.avatar_url ELSE CAST(:avatar_url AS text) END
        WHERE users.id = :user_id AND (SELECT count(*) FROM arrived) > 0
        RETURNING users.*
    )
    SELECT {USER.sql("changed")}, arrived.user_id, arrived.position, arrived.created_at
    FROM changed CROSS JOIN arrived
""")
)


async def set_profile(
    connection: Connection,
    user_id: UUID,
    *,
    username: str | None,
    avatar_url: str | None,
    keep_avatar: bool,
) -> tuple[User, Appended | None]:
    """Change a user's name if one is given, and their picture unless `keep_avatar`.

    Return the user, and what was appended to the inboxes of the user and their acquaintances: nothing if the
    user already had this name and picture.

    The connection must be in a transaction.

    Raises:
        UsernameTaken: the transaction has failed.
        UserGone: the user does not exist, or has been removed.
    """
    try:
        rows = await notify(
            connection,
            _SET_PROFILE,
            user_id,
            username=username,
            avatar_url=avatar_url,
            keep_avatar=keep_avatar,
        )
    except UniqueViolationError as error:
        if error.constraint_name == _ONE_NAME:
            raise UsernameTaken(username) from error
        raise
    if rows:
        return USER.read(rows[0]), notified(user_id, rows)
    for unchanged in await by_ids(connection, [user_id]):
        if unchanged.removed_at is None:
            return unchanged, None
    raise UserGone(str(user_id))

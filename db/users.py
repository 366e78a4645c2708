"""Statements about users."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import UniqueViolationError
from sqlalchemy import Integer, bindparam, func, insert, select, text

from db.acquaintances import notified, notifying
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
# This lock does not wait for a change of the picture, nor the other way around.
_KEEP_BY_USERNAME = Statement(_BY_USERNAME.with_for_update(read=True, key_share=True))


async def by_username(connection: Connection, username: str, *, keep: bool = False) -> User | None:
    """Return the user with that name (case-insensitive).

    With `keep`, the user can neither be removed nor get another name before the transaction ends.
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


_CHANGE = """
    SELECT CAST(clock_timestamp() AS timestamptz(3)) AS created_at
    FROM users
    WHERE id = :user_id AND removed_at IS NULL AND (
        username <> coalesce(CAST(:username AS text), username)
        OR NOT CAST(:keep_avatar AS boolean) AND avatar_url IS DISTINCT FROM CAST(:avatar_url AS text))
"""
_NOTIFY = Statement(text(f"WITH {notifying(_CHANGE)} SELECT user_id, position, created_at FROM arrived"))
# A value that is not given stays as it is in the newest row, so simultaneous changes are both kept. Users are
# locked last.
# This is a statement of its own, because those who open a conversation wait while the user's name changes.
_SET_PROFILE = Statement(
    text(f"""
    UPDATE users
    SET username = coalesce(CAST(:username AS text), username),
        avatar_url = CASE WHEN CAST(:keep_avatar AS boolean) THEN avatar_url
                          ELSE CAST(:avatar_url AS text) END
    WHERE id = :user_id
    RETURNING {USER.sql("users")}
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

    The connection must be in a transaction. After the commit, call `acquaintances.notify_missed`.

    Raises:
        UsernameTaken: the transaction has failed.
        UserGone: the user does not exist, or has been removed.
    """
    profile = {"username": username, "avatar_url": avatar_url, "keep_avatar": keep_avatar}
    arrived = await _NOTIFY.fetch(connection, user_id=user_id, **profile)
    if arrived:
        try:
            changed = await _SET_PROFILE.fetchrow(connection, user_id=user_id, **profile)
        except UniqueViolationError as error:
            if error.constraint_name == _ONE_NAME:
                raise UsernameTaken(username) from error
            raise
        # The user has an inbox, which is locked, so they have not been removed.
        assert changed is not None
        return USER.read(changed), notified(user_id, arrived)
    for unchanged in await by_ids(connection, [user_id]):
        if unchanged.removed_at is None:
            return unchanged, None
    raise UserGone(str(user_id))

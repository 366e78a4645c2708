"""Statements about users."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.constraints import violates
from db.ids import new_id
from db.records import User
from db.tables import inboxes, users

USER_COLUMNS = (users.c.id, users.c.username, users.c.avatar_url)


class UsernameTaken(Exception):
    """Somebody else has this name, in whatever case."""


class UserGone(Exception):
    """The user for whom something is done has been removed."""


async def by_ids(connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[User]:
    """Return those of the users that exist, in any order."""
    rows = await connection.execute(select(*USER_COLUMNS).where(users.c.id == func.any(list(ids))))
    return [User(*row) for row in rows]


async def by_username(connection: AsyncConnection, username: str, *, keep: bool = False) -> User | None:
    """Return the user of that name, whatever its case; with `keep`, they stay until the transaction ends."""
    query = select(*USER_COLUMNS).where(users.c.username_key == username.lower())
    if keep:
        query = query.with_for_update(read=True, key_share=True)
    row = (await connection.execute(query)).first()
    return User(*row) if row else None


async def with_prefix(
    connection: AsyncConnection, prefix: str, *, without: UUID, limit: int
) -> Sequence[User]:
    """Return at most `limit` users whose name starts with `prefix` in any case, ordered by name.

    One range of the index on the name; the user `without` is left out.
    """
    query = (
        select(*USER_COLUMNS)
        .where(users.c.username_key.startswith(prefix.lower(), autoescape=True), users.c.id != without)
        .order_by(users.c.username_key)
        .limit(limit)
    )
    return [User(*row) for row in await connection.execute(query)]


async def create(connection: AsyncConnection, username: str, avatar_url: str | None = None) -> User:
    """Make a user with an empty inbox.

    Raises:
        UsernameTaken: the transaction is then over.
    """
    user = User(new_id(), username, avatar_url)
    try:
        await connection.execute(
            insert(users).values(id=user.id, username=user.username, avatar_url=user.avatar_url)
        )
    except IntegrityError as error:
        if violates(error, "users_username_key_key"):
            raise UsernameTaken(username) from error
        raise
    await connection.execute(insert(inboxes).values(user_id=user.id))
    return user


async def set_profile(
    connection: AsyncConnection,
    user_id: UUID,
    *,
    username: str | None,
    avatar_url: str | None,
    keep_avatar: bool,
) -> User:
    """Change a user's name, where one is given, and picture, where `keep_avatar` is false.

    Raises:
        UsernameTaken: the transaction is then over.
        UserGone: there is no such user.
    """
    statement = (
        update(users)
        .where(users.c.id == user_id)
        .values(
            username=users.c.username if username is None else username,
            avatar_url=users.c.avatar_url if keep_avatar else avatar_url,
        )
        .returning(*USER_COLUMNS)
    )
    try:
        row = (await connection.execute(statement)).first()
    except IntegrityError as error:
        if violates(error, "users_username_key_key"):
            raise UsernameTaken(username) from error
        raise
    if row is None:
        raise UserGone(str(user_id))
    return User(*row)

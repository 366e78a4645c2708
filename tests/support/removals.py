"""Removing users as the operator does."""

from db import users
from db.engine import Database
from realtime.broadcaster import Broadcaster
from resolvers.removals import remove_user


async def remove(database: Database, username: str) -> None:
    """Remove the user with this name, who must exist, with `messenger remove-user`'s rule."""
    async with database.connection() as connection:
        user = await users.by_username(connection, username)
    assert user is not None
    assert await remove_user(database, Broadcaster(), user.id)

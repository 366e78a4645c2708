"""Finding people, and one's own profile."""

import re
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit
from uuid import UUID

from db import users
from db.records import User
from db.users import UsernameTaken
from resolvers.context import Context
from resolvers.errors import AccountGone, UserError, UserErrorCode
from resolvers.loaders import present
from resolvers.paging import check_page_size

MAX_FOUND = 20
MAX_USERNAME_CHARS = 39
MAX_AVATAR_URL_CHARS = 2000
_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,38}")


async def viewer(context: Context) -> User | None:
    """Return who is signed in, as they are called now; None for nobody.

    Raises:
        Unauthenticated: the request brought a token that is not good, which must not look like nobody; or
            they have just been removed.
    """
    if context.refused is None and context.viewer is None:
        return None
    user = await context.loaders.users.load(context.require_viewer().id)
    if user is None:
        raise AccountGone
    return user


async def by_ids(context: Context, ids: Collection[UUID]) -> Sequence[User]:
    """Return those of the users that exist, in any order."""
    context.require_viewer()
    return present(await context.loaders.users.load_many(ids))


async def by_username(context: Context, username: str) -> User | None:
    """Return the user of that name, whatever its case."""
    context.require_viewer()
    if not is_username(username):
        return None
    async with context.reading() as connection:
        return await users.by_username(connection, username)


async def search_users(context: Context, search: str, first: int) -> Sequence[User]:
    """Return users whose name starts with the text, by name; the viewer is left out.

    Raises:
        BadUserInput: `first` is not 1 to 20.
    """
    viewer = context.require_viewer()
    check_page_size(first, "first", MAX_FOUND)
    # What cannot start a name finds nobody; the empty text would find everybody.
    if not is_username(search.strip()):
        return []
    async with context.reading() as connection:
        return await users.with_prefix(connection, search.strip(), without=viewer.id, limit=first)


async def update_profile(
    context: Context, *, username: str | None, avatar_url: str | None, keep_avatar: bool
) -> User:
    """Change the viewer's name, where one is given, and picture, where `keep_avatar` is false.

    Raises:
        UserError: the name is not allowed or taken, or the picture is no https address.
    """
    viewer = context.require_viewer()
    if username is not None:
        check_username(username)
    if not keep_avatar and avatar_url is not None:
        _check_avatar_url(avatar_url)
    try:
        async with context.connection() as connection:
            changed = await users.set_profile(
                connection,
                viewer.id,
                username=username,
                avatar_url=avatar_url,
                keep_avatar=keep_avatar,
            )
    except UsernameTaken as error:
        message = f"Somebody else is called {username}: choose another name."
        raise UserError(UserErrorCode.TAKEN, message, "username") from error
    return changed


def is_username(text: str) -> bool:
    """Say whether somebody may have this name: `[A-Za-z0-9][A-Za-z0-9._-]{0,38}`."""
    return _USERNAME.fullmatch(text) is not None


def check_username(username: str) -> None:
    """Accept a name that somebody may have.

    Raises:
        UserError: it is blank, too long, or holds something else than letters, digits, `.`, `_` and `-`.
    """
    if not username.strip():
        raise UserError(UserErrorCode.BLANK, "Give a name.", "username")
    if len(username) > MAX_USERNAME_CHARS:
        message = f"A name has at most {MAX_USERNAME_CHARS} characters."
        raise UserError(UserErrorCode.TOO_LONG, message, "username")
    if not is_username(username):
        raise UserError(
            UserErrorCode.INVALID,
            "A name starts with a letter or digit and holds only A to Z, 0 to 9, dot, underscore and hyphen.",
            "username",
        )


def is_avatar_url(url: str | None) -> bool:
    """Say whether a user's picture may be there: a full https address in printable ASCII."""
    if url is None or len(url) > MAX_AVATAR_URL_CHARS:
        return False
    if not url.isascii() or any(char.isspace() or not char.isprintable() for char in url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname)


def _check_avatar_url(url: str) -> None:
    if len(url) > MAX_AVATAR_URL_CHARS:
        message = f"The picture's address has over {MAX_AVATAR_URL_CHARS} characters."
        raise UserError(UserErrorCode.TOO_LONG, message, "avatarUrl")
    if not url.isascii():
        message = (
            "The picture's address has characters outside ASCII. Percent-encode those in its path and query,"
            " and write its host in Punycode."
        )
        raise UserError(UserErrorCode.INVALID, message, "avatarUrl")
    if not is_avatar_url(url):
        raise UserError(UserErrorCode.INVALID, "Give the picture's full address, with https.", "avatarUrl")

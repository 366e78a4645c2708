"""Finding users, and the viewer's profile."""

import re
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit
from uuid import UUID

from db import users
from db.records import User
from db.users import UsernameTaken
from realtime.hints import hints_of
from resolvers.changed_users import notify_missed
from resolvers.context import Context
from resolvers.errors import AccountGone, UserError, UserErrorCode, data_lost
from resolvers.loaders import present
from resolvers.paging import check_page_size
from resolvers.snapshot import rejecting_outages

MAX_FOUND = 20
MAX_USERNAME_CHARS = 39
MAX_AVATAR_URL_CHARS = 2000
_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,38}")


async def viewer(context: Context) -> User | None:
    """Return the signed-in user with their current username; None if the request is anonymous.

    Raises:
        Unauthenticated: the request has an invalid token, which must not pass for an anonymous request; or
            the account has just been removed.
    """
    if context.refused is None and context.viewer is None:
        return None
    context.read_once()
    return await signed_in_user(context)


async def signed_in_user(context: Context) -> User:
    """Return the viewer with their current username.

    Raises:
        Unauthenticated: the request has no valid token, or the account has just been removed.
    """
    user = await context.loaders.users.load(context.require_viewer().id)
    if user is None or user.removed_at is not None:
        raise AccountGone
    return user


async def by_ids(context: Context, ids: Collection[UUID]) -> Sequence[User]:
    """Return the users with these IDs that exist, in any order. Removed users are among them."""
    context.require_viewer()
    return present(await context.loaders.users.load_many(ids))


async def of_event(context: Context, user_id: UUID) -> User:
    """Return the user that an event is about."""
    user = await context.loaders.users.load(user_id)
    if user is None:
        raise data_lost(f"an event is about the user {user_id}, who does not exist")
    return user


async def by_username(context: Context, username: str) -> User | None:
    """Return the user with this username (case-insensitive)."""
    context.require_viewer()
    if not is_username(username):
        return None
    context.read_once()
    async with context.reading() as connection:
        return await users.by_username(connection, username)


async def search_users(context: Context, search: str, first: int) -> Sequence[User]:
    """Return users whose username starts with the text, without the viewer, ordered by username.

    Raises:
        BadUserInput: `first` is not 1 to 20.
    """
    viewer = context.require_viewer()
    check_page_size(first, "first", MAX_FOUND)
    # A text that cannot start a username finds no users. An empty text would find all of them.
    if not is_username(search.strip()):
        return []
    context.read_once()
    async with context.reading() as connection:
        return await users.with_prefix(connection, search.strip(), without=viewer.id, limit=first)


async def update_profile(
    context: Context, *, username: str | None, avatar_url: str | None, keep_avatar: bool
) -> User:
    """Change the viewer's username unless it is None, and their picture unless `keep_avatar`.

    The viewer's acquaintances get an entry, and hints are published. Each change locks the inboxes of all of
    them, so changes are limited. Requests that change nothing are not counted.

    Raises:
        UserError: the username is not allowed or is taken, or the picture is not an HTTPS URL.
        RateLimited: the viewer has changed their profile too often recently.
        AccountGone: the viewer has just been removed.
    """
    viewer = context.require_viewer()
    if username is not None:
        check_username(username)
    if not keep_avatar and avatar_url is not None:
        _check_avatar_url(avatar_url)
    await context.refresh()
    current = await signed_in_user(context)
    if username in (None, current.username) and (keep_avatar or avatar_url == current.avatar_url):
        return current
    if username is not None:
        await _check_is_free(context, username)
    await context.refresh()
    await context.limits.count_profile_change(viewer.id)
    try:
        async with context.writing() as connection:
            changed, appended = await users.set_profile(
                connection,
                viewer.id,
                username=username,
                avatar_url=avatar_url,
                keep_avatar=keep_avatar,
            )
    except UsernameTaken as error:
        raise _taken(str(error)) from error
    if appended is not None:
        context.broadcaster.publish(hints_of(appended))
        context.count_statement()
        with rejecting_outages():
            await notify_missed(context.database, context.broadcaster, appended)
    return changed


async def _check_is_free(context: Context, username: str) -> None:
    """Check that no other user has this name, before the change is counted and locks anything.

    Raises:
        UserError: another user has it.
    """
    async with context.reading() as connection:
        found = await users.by_username(connection, username)
    if found is not None and found.id != context.require_viewer().id:
        raise _taken(username)


def _taken(username: str) -> UserError:
    message = f"The username {username} is taken. Choose another one."
    return UserError(UserErrorCode.TAKEN, message, "username")


def is_username(text: str) -> bool:
    """Return whether the text is an allowed username: `[A-Za-z0-9][A-Za-z0-9._-]{0,38}`."""
    return _USERNAME.fullmatch(text) is not None


def check_username(username: str) -> None:
    """Check that the username is allowed.

    Raises:
        UserError: it is blank, too long, or has characters other than letters, digits, `.`, `_` and `-`.
    """
    if not username.strip():
        raise UserError(UserErrorCode.BLANK, "Enter a username.", "username")
    if len(username) > MAX_USERNAME_CHARS:
        message = f"The username is too long. Shorten it to {MAX_USERNAME_CHARS} characters."
        raise UserError(UserErrorCode.TOO_LONG, message, "username")
    if not is_username(username):
        raise UserError(
            UserErrorCode.INVALID,
            "A username must start with a letter or digit and contain only letters (A to Z), digits, dots,"
            " underscores and hyphens.",
            "username",
        )


def is_avatar_url(url: str | None) -> bool:
    """Return whether the text is an allowed URL of a picture: an absolute HTTPS URL in printable ASCII."""
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
        message = f"The picture's URL is too long. Use one of at most {MAX_AVATAR_URL_CHARS} characters."
        raise UserError(UserErrorCode.TOO_LONG, message, "avatarUrl")
    if not url.isascii():
        message = (
            "The picture's URL has characters outside ASCII. Percent-encode those in its path and query, and"
            " write its host in Punycode."
        )
        raise UserError(UserErrorCode.INVALID, message, "avatarUrl")
    if not is_avatar_url(url):
        message = "The picture's URL is not valid. Enter a full URL that starts with https://."
        raise UserError(UserErrorCode.INVALID, message, "avatarUrl")

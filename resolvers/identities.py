"""Users with external identities: those of sign-in providers, or of an existing product's accounts."""

import re
import secrets
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from db import identities, users
from db.engine import Database
from db.identities import AlreadyLinked
from db.records import User
from db.statements import Connection
from db.users import UsernameTaken
from resolvers.content import is_storable
from resolvers.errors import Unauthenticated
from resolvers.tokens import hash_of, new_token
from resolvers.users import MAX_USERNAME_CHARS, is_avatar_url

CODE_LASTS = timedelta(seconds=60)
MAX_SUBJECT_CHARS = 255
_NAMELESS = "user"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a provider says about a user: names in order of preference, and a picture."""

    names: Sequence[str] = ()
    avatar_url: str | None = None


class SubjectRefused(Exception):
    """The provider's subject, its identifier for the user, cannot be stored."""


async def user_for(database: Database, provider: str, subject: str, profile: Profile) -> User:
    """Return the user linked to the provider's subject, creating one from the profile if there is none.

    `provider` is the issuer's URL. Concurrent calls for the same subject return the same user.

    Raises:
        SubjectRefused: the subject is empty, over 255 characters, or cannot be stored.
    """
    if not subject or len(subject) > MAX_SUBJECT_CHARS or not is_storable(subject):
        raise SubjectRefused(f"the subject must have 1 to {MAX_SUBJECT_CHARS} storable characters")
    while True:
        async with database.snapshot() as connection:
            user = await identities.user_of(connection, provider, subject)
            if user is not None:
                return user
            username = await _free_username(connection, profile.names)
        try:
            async with database.transaction() as connection:
                avatar_url = profile.avatar_url if is_avatar_url(profile.avatar_url) else None
                user = await users.create(connection, username, avatar_url)
                await identities.link(connection, provider, subject, user.id)
                return user
        except (UsernameTaken, AlreadyLinked):
            # A concurrent call took the username or linked the subject: read again.
            continue


async def make_code(database: Database, user: User, code_challenge: str) -> str:
    """Return a one-time code, valid for a minute, that a client with the PKCE verifier can redeem."""
    code = new_token()
    async with database.transaction() as connection:
        await identities.keep_code(connection, hash_of(code), user.id, code_challenge, CODE_LASTS)
    return code


async def redeem_code(database: Database, code: str, code_verifier: str) -> User:
    """Return the user that the code signs in. The code is used up even if the verifier does not match.

    The challenge is the verifier's SHA-256: https://www.rfc-editor.org/rfc/rfc7636#section-4.6.

    Raises:
        Unauthenticated: the code is unknown, used or expired, or the verifier does not match.
    """
    async with database.connection() as connection:
        taken = await identities.take_code(connection, hash_of(code))
    challenge = urlsafe_b64encode(sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
    if taken is None or not secrets.compare_digest(taken[1], challenge):
        raise Unauthenticated("The code is invalid, used or expired. Sign in again.")
    return taken[0]


def possible_usernames(names: Sequence[str]) -> Iterator[str]:
    """Yield allowed usernames that resemble these names, most similar first, without end."""
    bases = [base for name in names if (base := _as_username(name))] or [_NAMELESS]
    yield from bases
    for number in range(2, 10):
        yield _with_suffix(bases[0], f"-{number}")
    while True:
        yield _with_suffix(bases[0], f"-{secrets.token_hex(3)}")


async def _free_username(connection: Connection, names: Sequence[str]) -> str:
    for username in possible_usernames(names):
        if await users.by_username(connection, username) is None:
            return username
    raise AssertionError("possible_usernames never ends")


def _as_username(name: str) -> str:
    """Return the name reduced to the characters allowed in a username; empty if none remain."""
    # Only the local part of an email address becomes a username: the address itself is private.
    plain = unicodedata.normalize("NFKD", name.partition("@")[0]).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-")[:MAX_USERNAME_CHARS].rstrip("._-")


def _with_suffix(base: str, suffix: str) -> str:
    return base[: MAX_USERNAME_CHARS - len(suffix)] + suffix

"""Statements about users' identities at sign-in providers, and the one-time codes that complete a sign-in."""

from datetime import timedelta
from uuid import UUID

from asyncpg import UniqueViolationError
from sqlalchemy import bindparam, delete, func, insert, select

from db.records import User
from db.statements import Connection, Statement
from db.tables import identities, sign_in_codes, users
from db.time import after
from db.users import USER


class AlreadyLinked(Exception):
    """The provider's subject is already linked to a user."""


_USER_OF = Statement(
    select(*USER.of(users))
    .join(identities, identities.c.user_id == users.c.id)
    .where(identities.c.provider == bindparam("provider"), identities.c.subject == bindparam("subject"))
)


async def user_of(connection: Connection, provider: str, subject: str) -> User | None:
    """Return the user who is linked to the provider's subject."""
    row = await _USER_OF.fetchrow(connection, provider=provider, subject=subject)
    return USER.read(row) if row else None


_LINK = Statement(
    insert(identities).values(
        provider=bindparam("provider"), subject=bindparam("subject"), user_id=bindparam("user_id")
    )
)


async def link(connection: Connection, provider: str, subject: str, user_id: UUID) -> None:
    """Link the provider's subject to the user.

    Raises:
        AlreadyLinked: the subject is linked to a user; the transaction has failed.
    """
    try:
        await _LINK.execute(connection, provider=provider, subject=subject, user_id=user_id)
    except UniqueViolationError as error:
        if error.constraint_name == "identities_pkey":
            raise AlreadyLinked(subject) from error
        raise


_DROP_OLD_CODES = Statement(delete(sign_in_codes).where(sign_in_codes.c.expires_at < func.now()))
_KEEP_CODE = Statement(
    insert(sign_in_codes).values(
        code_hash=bindparam("code_hash"),
        user_id=bindparam("user_id"),
        code_challenge=bindparam("code_challenge"),
        expires_at=after("lasts"),
    )
)


async def keep_code(
    connection: Connection, code_hash: str, user_id: UUID, code_challenge: str, lasts: timedelta
) -> None:
    """Store the hash of a one-time code for the user, and delete expired codes."""
    await _DROP_OLD_CODES.execute(connection)
    await _KEEP_CODE.execute(
        connection, code_hash=code_hash, user_id=user_id, code_challenge=code_challenge, lasts=lasts
    )


_TAKE_CODE = Statement(
    delete(sign_in_codes)
    .where(
        sign_in_codes.c.code_hash == bindparam("code_hash"),
        users.c.id == sign_in_codes.c.user_id,
        users.c.removed_at.is_(None),
    )
    .returning(
        sign_in_codes.c.code_challenge,
        (sign_in_codes.c.expires_at > func.now()).label("is_good"),
        *USER.of(users),
    )
)


async def take_code(connection: Connection, code_hash: str) -> tuple[User, str] | None:
    """Use a code: return its user and challenge, or None if it is unknown, used or expired."""
    row = await _TAKE_CODE.fetchrow(connection, code_hash=code_hash)
    return (USER.read(row), row["code_challenge"]) if row and row["is_good"] else None

"""Statements about identities, by which others vouch for our users, and the codes that end such a sign-in."""

from datetime import timedelta
from uuid import UUID

from asyncpg import UniqueViolationError
from sqlalchemy import bindparam, delete, func, insert, select

from db.records import User
from db.statements import Connection, Statement
from db.tables import identities, sign_in_codes, users
from db.time import after
from db.users import USER_COLUMNS


class AlreadyLinked(Exception):
    """The provider's subject stands for a user already."""


_USER_OF = Statement(
    select(*USER_COLUMNS)
    .join(identities, identities.c.user_id == users.c.id)
    .where(identities.c.provider == bindparam("provider"), identities.c.subject == bindparam("subject"))
)


async def user_of(connection: Connection, provider: str, subject: str) -> User | None:
    """Return the user whom that provider knows by this subject."""
    row = await _USER_OF.fetchrow(connection, provider=provider, subject=subject)
    return User(*row) if row else None


_LINK = Statement(
    insert(identities).values(
        provider=bindparam("provider"), subject=bindparam("subject"), user_id=bindparam("user_id")
    )
)


async def link(connection: Connection, provider: str, subject: str, user_id: UUID) -> None:
    """Note whom the subject stands for.

    Raises:
        AlreadyLinked: it stands for somebody; the transaction is then over.
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
    """Keep the hash of a one-time code for the user, and drop those that nobody came for."""
    await _DROP_OLD_CODES.execute(connection)
    await _KEEP_CODE.execute(
        connection, code_hash=code_hash, user_id=user_id, code_challenge=code_challenge, lasts=lasts
    )


_TAKE_CODE = Statement(
    delete(sign_in_codes)
    .where(sign_in_codes.c.code_hash == bindparam("code_hash"), users.c.id == sign_in_codes.c.user_id)
    .returning(sign_in_codes.c.code_challenge, sign_in_codes.c.expires_at > func.now(), *USER_COLUMNS)
)


async def take_code(connection: Connection, code_hash: str) -> tuple[User, str] | None:
    """Use a code up: return its user and challenge, None when it is unknown, used or expired."""
    row = await _TAKE_CODE.fetchrow(connection, code_hash=code_hash)
    if row is None:
        return None
    code_challenge, is_good, *user = row
    return (User(*user), code_challenge) if is_good else None

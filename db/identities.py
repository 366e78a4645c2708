"""Statements about identities, by which others vouch for our users, and the codes that end such a sign-in."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.constraints import violates
from db.records import User
from db.tables import identities, sign_in_codes, users
from db.time import after
from db.users import USER_COLUMNS


class AlreadyLinked(Exception):
    """The provider's subject stands for a user already."""


async def user_of(connection: AsyncConnection, provider: str, subject: str) -> User | None:
    """Return the user whom that provider knows by this subject."""
    query = (
        select(*USER_COLUMNS)
        .join(identities, identities.c.user_id == users.c.id)
        .where(identities.c.provider == provider, identities.c.subject == subject)
    )
    row = (await connection.execute(query)).first()
    return User(*row) if row else None


async def link(connection: AsyncConnection, provider: str, subject: str, user_id: UUID) -> None:
    """Note whom the subject stands for.

    Raises:
        AlreadyLinked: it stands for somebody; the transaction is then over.
    """
    try:
        await connection.execute(
            insert(identities).values(provider=provider, subject=subject, user_id=user_id)
        )
    except IntegrityError as error:
        if violates(error, "identities_pkey"):
            raise AlreadyLinked(subject) from error
        raise


async def keep_code(
    connection: AsyncConnection, code_hash: str, user_id: UUID, code_challenge: str, lasts: timedelta
) -> None:
    """Keep the hash of a one-time code for the user, and drop those that nobody came for."""
    await connection.execute(delete(sign_in_codes).where(sign_in_codes.c.expires_at < func.now()))
    await connection.execute(
        insert(sign_in_codes).values(
            code_hash=code_hash, user_id=user_id, code_challenge=code_challenge, expires_at=after(lasts)
        )
    )


async def take_code(connection: AsyncConnection, code_hash: str) -> tuple[User, str] | None:
    """Use a code up: return its user and challenge, None when it is unknown, used or expired."""
    statement = (
        delete(sign_in_codes)
        .where(sign_in_codes.c.code_hash == code_hash, users.c.id == sign_in_codes.c.user_id)
        .returning(sign_in_codes.c.code_challenge, sign_in_codes.c.expires_at > func.now(), *USER_COLUMNS)
    )
    row = (await connection.execute(statement)).first()
    return (User(*row[2:]), row[0]) if row and row[1] else None

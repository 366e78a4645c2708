"""Many users at once, created by a few statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from uuid import UUID

from sqlalchemy import insert

from db.engine import Database
from db.ids import new_id
from db.tables import conversations, inboxes, participants, sessions, users
from tests.support.tables import tables


@dataclass(frozen=True)
class Someone:
    """A user and their token."""

    user_id: UUID
    token: str


async def make_people(database: Database, count: int) -> Sequence[Someone]:
    """Create users with an empty inbox and a session each."""
    people = [Someone(new_id(), token_urlsafe(32)) for _ in range(count)]
    expires_at = datetime.now(UTC) + timedelta(days=1)
    async with tables(database) as connection:
        await connection.execute(
            insert(users), [{"id": each.user_id, "username": f"f{each.user_id.hex[-19:]}"} for each in people]
        )
        await connection.execute(insert(inboxes), [{"user_id": each.user_id} for each in people])
        rows = [
            {
                "id": new_id(),
                "user_id": each.user_id,
                "token_hash": sha256(each.token.encode()).hexdigest(),
                "expires_at": expires_at,
            }
            for each in people
        ]
        await connection.execute(insert(sessions), rows)
    return people


async def make_conversation(database: Database, people: Sequence[Someone]) -> UUID:
    """Create a conversation of all these users."""
    conversation_id = new_id()
    async with tables(database) as connection:
        await connection.execute(insert(conversations).values(id=conversation_id))
        members = [{"conversation_id": conversation_id, "user_id": each.user_id} for each in people]
        await connection.execute(insert(participants), members)
    return conversation_id

"""The people and conversations that a run works with, on a database of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from db import conversations, inboxes, users
from db.engine import Database, open_database
from db.migrations import migrate
from db.records import SessionTime
from resolvers import sessions

PAIRS = 100
LISTED_CONVERSATIONS = 1_000
CONTENT = "The build is green again. I had to pin one dependency, the one we never wanted to."


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody signed in."""

    user_id: UUID
    token: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people, and the conversation that they have."""

    one: Person
    other: Person
    conversation_id: UUID

    def turned(self) -> "Pair":
        """Return the same two the other way round."""
        return Pair(self.other, self.one, self.conversation_id)


@dataclass(frozen=True, slots=True)
class Population:
    """Pairs, and somebody with many conversations."""

    pairs: Sequence[Pair]
    busy: Person


async def settle(url: str) -> Population:
    """Fill an empty database, and have PostgreSQL count what is in it, so that its plans stay the same."""
    async with open_database(url) as database:
        await migrate(database)
        pairs = [await _pair(database, number) for number in range(PAIRS)]
        busy = await _person(database, "busy")
        async with database.transaction() as connection:
            for number in range(LISTED_CONVERSATIONS):
                friend = await users.create(connection, f"friend-{number}")
                conversation_id, _ = await conversations.open_pair(connection, friend.id, busy.user_id)
                await inboxes.deliver(connection, conversation_id, friend.id, CONTENT)
        async with database.connection() as connection:
            await connection.execute("VACUUM ANALYZE")
    return Population(pairs, busy)


async def _pair(database: Database, number: int) -> Pair:
    one, other = await _person(database, f"one-{number}"), await _person(database, f"other-{number}")
    async with database.transaction() as connection:
        conversation_id, _ = await conversations.open_pair(connection, one.user_id, other.user_id)
    return Pair(one, other, conversation_id)


async def _person(database: Database, name: str) -> Person:
    signed_in = await sessions.sign_in_by_name(
        database, name, SessionTime(timedelta(days=1), timedelta(days=1))
    )
    return Person(signed_in.session.user.id, signed_in.token)

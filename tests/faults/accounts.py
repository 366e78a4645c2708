"""The users of a round, created directly in the database, so that faults cannot break the set-up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from uuid import UUID, uuid4

from sqlalchemy import insert

from db import conversations, inboxes, users
from db.engine import Database
from db.ids import new_id
from db.records import SessionTime
from db.tables import conversations as conversations_table
from db.tables import participants
from realtime.cursors import InboxCursor
from resolvers.sessions import open_session
from tests.support.tables import tables

A_DAY = SessionTime(timedelta(days=1), timedelta(days=1))


@dataclass(frozen=True)
class Account:
    """A user who is signed in, and the cursor of their empty inbox."""

    user_id: UUID
    token: str
    start: str


@dataclass(frozen=True)
class Talk:
    """A conversation and its participants."""

    id: UUID
    participants: frozenset[UUID]


@dataclass(frozen=True)
class Company:
    """Users who all know each other, with a conversation for each pair and one for all."""

    accounts: Sequence[Account]
    talks: Sequence[Talk]

    def talks_of(self, user_id: UUID) -> list[Talk]:
        return [talk for talk in self.talks if user_id in talk.participants]


async def gather_company(database: Database, size: int) -> Company:
    """Create new users."""
    accounts: list[Account] = []
    for _ in range(size):
        async with database.transaction() as connection:
            user = await users.create(connection, f"p-{uuid4().hex[:16]}")
            state = await inboxes.state(connection, user.id)
        signed_in = await open_session(database, user, A_DAY)
        start = InboxCursor(state.epoch, 0).encode(user.id)
        accounts.append(Account(user.id, signed_in.token, start))
    talks: list[Talk] = []
    async with database.transaction() as connection:
        for one, other in combinations(accounts, 2):
            opened, _ = await conversations.open_pair(connection, one.user_id, other.user_id)
            talks.append(Talk(opened, frozenset({one.user_id, other.user_id})))
    # The API only opens conversations of two users; the tables also hold larger ones.
    async with tables(database) as connection:
        all_talk = Talk(new_id(), frozenset(account.user_id for account in accounts))
        await connection.execute(insert(conversations_table).values(id=all_talk.id))
        members = [{"conversation_id": all_talk.id, "user_id": user_id} for user_id in all_talk.participants]
        await connection.execute(insert(participants), members)
        talks.append(all_talk)
    return Company(accounts, talks)

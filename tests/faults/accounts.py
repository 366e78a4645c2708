"""The people of a round, made in the database itself, so that set-up cannot fail with what is tested."""

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
    """Somebody signed in, and the cursor of their empty inbox."""

    user_id: UUID
    token: str
    start: str


@dataclass(frozen=True)
class Talk:
    """A conversation, and who takes part in it."""

    id: UUID
    participants: frozenset[UUID]


@dataclass(frozen=True)
class Company:
    """People who all know each other: a conversation for each two, and one of all."""

    accounts: Sequence[Account]
    talks: Sequence[Talk]

    def talks_of(self, user_id: UUID) -> list[Talk]:
        return [talk for talk in self.talks if user_id in talk.participants]


async def gather_company(database: Database, size: int) -> Company:
    """Make people whom nobody has met before."""
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
    # The API opens conversations of two only; the tables hold larger ones.
    async with tables(database) as connection:
        everybody = Talk(new_id(), frozenset(account.user_id for account in accounts))
        await connection.execute(insert(conversations_table).values(id=everybody.id))
        members = [
            {"conversation_id": everybody.id, "user_id": user_id} for user_id in everybody.participants
        ]
        await connection.execute(insert(participants), members)
        talks.append(everybody)
    return Company(accounts, talks)

"""The users of a round, created directly in the database, so that faults cannot break the set-up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
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


@dataclass(eq=False)
class Account:
    """A user who is signed in, and the cursor of their empty inbox."""

    user_id: UUID
    username: str
    token: str
    start: str
    can_rename: bool
    """Whether the user changes their name. The others keep theirs, so they can be found by it."""
    is_leaving: bool = False
    """Whether the user is being removed, or has been."""


@dataclass(frozen=True)
class Talk:
    """A conversation and its participants."""

    id: UUID
    participants: frozenset[UUID]
    opened_at: float = 0
    """When it was opened, by the clock of `History`; 0 if that was before the round."""


@dataclass(frozen=True)
class Company:
    """Users who all share a conversation, which has a message. Pairs open further ones with each other."""

    accounts: Sequence[Account]
    talks: dict[frozenset[UUID], Talk] = field(default_factory=dict[frozenset[UUID], Talk])
    """The conversations that are known to be open, by their participants."""

    def talks_of(self, user_id: UUID) -> list[Talk]:
        return [talk for participants, talk in self.talks.items() if user_id in participants]


async def gather_company(database: Database, size: int) -> Company:
    """Create new users, and the conversations of all of them and of every second pair."""
    accounts: list[Account] = []
    for number in range(size):
        async with database.transaction() as connection:
            user = await users.create(connection, f"p-{uuid4().hex[:16]}")
            state = await inboxes.state(connection, user.id)
        signed_in = await open_session(database, user, A_DAY)
        start = InboxCursor(state.epoch, 0).encode(user.id)
        accounts.append(
            Account(user.id, user.username, signed_in.token, start, can_rename=number % 2 == size % 2)
        )
    company = Company(accounts)
    async with database.transaction() as connection:
        for one, other in list(combinations(accounts, 2))[::2]:
            opened, _ = await conversations.open_pair(connection, one.user_id, other.user_id)
            pair = frozenset({one.user_id, other.user_id})
            company.talks[pair] = Talk(opened, pair)
    # The API only opens conversations of two users; the tables also hold larger ones.
    everyone = frozenset(account.user_id for account in accounts)
    all_talk = Talk(new_id(), everyone)
    async with tables(database) as connection:
        await connection.execute(insert(conversations_table).values(id=all_talk.id))
        members = [{"conversation_id": all_talk.id, "user_id": user_id} for user_id in everyone]
        await connection.execute(insert(participants), members)
    company.talks[everyone] = all_talk
    async with database.connection() as connection:
        await inboxes.deliver(connection, all_talk.id, accounts[0].user_id, "the first message")
    return company

"""Statements that append to inboxes number entries, count what is unread, and never deadlock."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import combinations
from random import Random
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from db import edits, inboxes, users
from db.appending import appending, entries_of
from db.engine import Database
from db.entries import USER_UPDATED
from db.ids import new_id
from db.inboxes import Delivered, Outgoing
from db.records import User
from db.statements import Connection, Statement
from tests.support.counts import miscounted
from tests.support.marks import read_up_to

PEOPLE = 4

# A further statement, to the inboxes of several conversations.
_RENAME = Statement(
    text(f"""
    WITH
    arriving AS (
        SELECT told.user_id, 1 AS nth, CAST(clock_timestamp() AS timestamptz(3)) AS created_at
        FROM (
            SELECT others.user_id FROM participants AS own
            JOIN participants AS others ON others.conversation_id = own.conversation_id
            WHERE own.user_id = :actor
            UNION SELECT CAST(:actor AS uuid)
        ) AS told
    ),
    {appending(entries_of(USER_UPDATED, subject=":actor", actor=":actor", conversation="NULL"))},
    changed AS (
        UPDATE users SET avatar_url = 'https://example.com/' || CAST(clock_timestamp() AS text)
        WHERE id = :actor AND (SELECT count(*) FROM arrived) > 0
    )
    SELECT user_id, position FROM arrived
""")
)

KINDS = ["send", "send", "send all", "edit", "delete", "mark", "mark", "rename"]
Action = tuple[str, int, int, int]
"""What is done, in which conversation, by which of its participants, and about which message."""
actions = st.tuples(
    st.sampled_from(KINDS),
    st.integers(0, 7),
    st.integers(0, PEOPLE - 1),
    st.integers(1, 12),
)


class World:
    """A few users, each of whom talks to every other one, and groups of three and all."""

    def __init__(self, people: Sequence[UUID]) -> None:
        sizes = (2, 3, len(people))
        self.people = people
        self.talks = [(new_id(), group) for size in sizes for group in combinations(people, size)][:8]

    @classmethod
    async def make(cls, connection: Connection) -> "World":
        world = cls([(await users.create(connection, f"w-{uuid4().hex[:16]}")).id for _ in range(PEOPLE)])
        await connection.executemany(
            "INSERT INTO conversations (id) VALUES ($1)", [(talk,) for talk, _ in world.talks]
        )
        await connection.executemany(
            "INSERT INTO participants (conversation_id, user_id) VALUES ($1, $2)",
            [(talk, member) for talk, group in world.talks for member in group],
        )
        return world

    async def act(self, connection: Connection, action: Action) -> None:
        """Do one thing."""
        what, which, who, seq = action
        talk, group = self.talks[which]
        actor = group[who % len(group)]
        if what == "send":
            await inboxes.deliver(connection, talk, actor, "hello")
        elif what == "send all":
            places = [(which + step) % len(self.talks) for step in (0, 3, 0, 5)]
            batch = [
                Outgoing(self.talks[place][0], self.talks[place][1][(who + step) % 2], "hello")
                for step, place in enumerate(places)
            ]
            outcomes = await inboxes.deliver_all(connection, batch)
            assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        elif what == "rename":
            await _RENAME.fetch(connection, actor=actor)
        else:
            # A mark is never past the last message.
            last: int = await connection.fetchval("SELECT last_seq FROM conversations WHERE id = $1", talk)
            if last and what == "mark":
                # Only some of the groups are small enough for the others to be told.
                await read_up_to(connection, talk, actor, min(seq, last), most_participants=3)
            elif last:
                await self._change(connection, what, talk, actor, min(seq, last))

    async def _change(self, connection: Connection, what: str, talk: UUID, actor: UUID, seq: int) -> None:
        """Edit a message, or delete it and the two after it."""
        rows = await connection.fetch(
            "SELECT id FROM messages WHERE conversation_id = $1 AND seq BETWEEN $2 AND $2 + 2 ORDER BY seq",
            talk,
            seq,
        )
        ids: list[UUID] = [row["id"] for row in rows]
        async with connection.transaction():
            locked = await edits.lock(connection, actor, ids[0])
            assert locked is not None
            if what == "delete":
                await edits.delete(connection, talk, ids, actor=actor)
            elif locked.message.deleted_at is None:
                await edits.edit(connection, ids[0], "edited", actor=actor)

    async def check(self, connection: Connection) -> None:
        """Check that the counts are exact, and that entries are numbered without gaps."""
        assert await miscounted(connection, self.people) == []
        for user_id in self.people:
            rows = await connection.fetch(
                "SELECT position FROM inbox_entries WHERE user_id = $1 ORDER BY position", user_id
            )
            state = await inboxes.state(connection, user_id)
            assert [row["position"] for row in rows] == list(range(1, state.last_position + 1))


@asynccontextmanager
async def patient(connection: Connection) -> AsyncGenerator[None]:
    """Wait longer for locks than a busy machine takes. PostgreSQL finds deadlocks within a second."""
    await connection.execute("SET lock_timeout = '30s'")
    try:
        yield
    finally:
        await connection.execute("RESET lock_timeout")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(actions, min_size=1, max_size=12))
async def test_every_statement_leaves_exact_counts(database: Database, sequence: list[Action]):
    async with database.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            world = await World.make(connection)
            for action in sequence:
                await world.act(connection, action)
                await world.check(connection)
        finally:
            await transaction.rollback()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
async def test_statements_that_append_never_deadlock(database: Database, dice: Random):
    """Four connections execute different statements for the same users and conversations."""
    async with database.transaction() as connection:
        world = await World.make(connection)
    pick = dice.choice

    async def act_often() -> None:
        async with database.connection() as own, patient(own):
            for _ in range(40):
                action = (pick(KINDS), dice.randrange(8), dice.randrange(PEOPLE), dice.randint(1, 12))
                await world.act(own, action)

    async with asyncio.timeout(60):
        await asyncio.gather(*(act_often() for _ in range(4)))
    async with database.connection() as connection:
        await world.check(connection)


async def test_a_message_counts_for_the_others_and_clears_the_count_of_its_author(
    database: Database, person: Callable[[str], Awaitable[User]]
):
    people = [(await person(name)).id for name in ("ada", "grace")]
    async with database.transaction() as connection:
        world = World(people)
        talk = new_id()
        await connection.execute("INSERT INTO conversations (id) VALUES ($1)", talk)
        await connection.execute(
            "INSERT INTO participants (conversation_id, user_id) SELECT $1, unnest($2::uuid[])", talk, people
        )
    ada, grace = world.people

    async def unread() -> list[tuple[int, int]]:
        async with database.connection() as own:
            states = [await inboxes.state(own, user_id) for user_id in (ada, grace)]
        return [(state.unread.conversations, state.unread.messages) for state in states]

    async with database.connection() as connection:
        for content in ("one", "two"):
            await inboxes.deliver(connection, talk, ada, content)
        assert await unread() == [(0, 0), (1, 2)]
        await inboxes.deliver(connection, talk, grace, "three")
        assert await unread() == [(1, 1), (0, 0)]
        # The last message of each that the other has not answered in the same batch.
        batch = [Outgoing(talk, author, "again") for author in (ada, grace, grace, ada, ada)]
        await inboxes.deliver_all(connection, batch)
        assert await unread() == [(0, 0), (1, 2)]
        assert await miscounted(connection, people) == []


async def test_a_user_without_an_inbox_cannot_send_and_gets_nothing(
    database: Database, person: Callable[[str], Awaitable[User]]
):
    people = [(await person(name)).id for name in ("ada", "grace")]
    talk = new_id()
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO conversations (id) VALUES ($1)", talk)
        await connection.execute(
            "INSERT INTO participants (conversation_id, user_id) SELECT $1, unnest($2::uuid[])", talk, people
        )
        await connection.execute("DELETE FROM inboxes WHERE user_id = $1", people[1])
    async with database.connection() as connection:
        assert await inboxes.deliver(connection, talk, people[1], "from her") is None
        batch = [Outgoing(talk, author, "hello") for author in reversed(people)]
        outcomes = await inboxes.deliver_all(connection, batch)
        assert outcomes[0] is inboxes.NotStored.NO_CONVERSATION
        assert isinstance(outcomes[1], Delivered)
        assert outcomes[1].positions == {people[0]: 1}

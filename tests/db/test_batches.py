"""Messages that are stored in a batch have the same outcomes as if each had been stored by itself."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import combinations
from random import Random
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from db import inboxes, users
from db.engine import Database, open_database
from db.ids import new_id
from db.inboxes import Delivered, IdempotencyKeyUsed, NotStored, Outgoing
from db.statements import Connection
from tests.support.entries import messages_of, read_messages

PEOPLE = 5


@dataclass(frozen=True)
class Said:
    """A message as indexes of its author, conversation and key. The conversation may not exist."""

    author: int
    talk: int
    key: int | None


@dataclass(frozen=True)
class World:
    """Users, and conversations between some of them."""

    people: Sequence[UUID]
    talks: Sequence[UUID]
    keys: Sequence[UUID]

    def outgoing(self, said: Said, content: str) -> Outgoing:
        talk = self.talks[said.talk] if said.talk < len(self.talks) else uuid4()
        key = None if said.key is None else self.keys[said.key]
        return Outgoing(talk, self.people[said.author], content, key)

    def told(self, outcome: Delivered | NotStored) -> object:
        """Return the outcome as indexes, which do not depend on this world's IDs."""
        if isinstance(outcome, NotStored):
            return outcome
        message = outcome.message
        positions = {self.people.index(user_id): position for user_id, position in outcome.positions.items()}
        author = self.people.index(message.author_id)
        return self.talks.index(message.conversation_id), message.seq, author, message.content, positions


async def make_world(connection: Connection, groups: Sequence[frozenset[int]]) -> World:
    people = [(await users.create(connection, f"w-{uuid4().hex[:16]}")).id for _ in range(PEOPLE)]
    talks = [new_id() for _ in groups]
    await connection.executemany("INSERT INTO conversations (id) VALUES ($1)", [(talk,) for talk in talks])
    members = [(talk, people[one]) for talk, group in zip(talks, groups, strict=True) for one in group]
    await connection.executemany(
        "INSERT INTO participants (conversation_id, user_id) VALUES ($1, $2)", members
    )
    return World(people, talks, [uuid4() for _ in range(3)])


async def one_by_one(connection: Connection, batch: Sequence[Outgoing]) -> list[Delivered | NotStored]:
    outcomes: list[Delivered | NotStored] = []
    for each in batch:
        try:
            async with connection.transaction():
                delivered = await inboxes.deliver(
                    connection, each.conversation_id, each.author_id, each.content, each.idempotency_key
                )
        except IdempotencyKeyUsed:
            outcomes.append(NotStored.KEY_USED)
        else:
            outcomes.append(delivered or NotStored.NO_CONVERSATION)
    return outcomes


async def everything(connection: Connection, world: World) -> list[object]:
    """Return everything that is stored of a world, as indexes."""
    entries = await connection.fetch(
        """
        SELECT array_position($1, user_id), position, array_position($2, messages.conversation_id), seq,
               array_position($1, author_id), content, array_position($3, idempotency_key)
        FROM inbox_entries JOIN messages ON messages.id = message_id WHERE user_id = ANY($1) ORDER BY 1, 2
        """,
        world.people,
        world.talks,
        world.keys,
    )
    marks = await connection.fetch(
        """
        SELECT array_position($1, conversation_id), last_seq, array_position($2, user_id), read_seq,
               participants.last_position, inboxes.last_position, participants.unread_count,
               inboxes.unread_conversations, inboxes.unread_messages
        FROM participants JOIN conversations ON conversations.id = conversation_id
        JOIN inboxes USING (user_id) WHERE conversation_id = ANY($1) ORDER BY 1, 3
        """,
        world.talks,
        world.people,
    )
    return [tuple(row) for row in (*entries, *marks)]


groups_of_people = st.lists(st.frozensets(st.integers(0, PEOPLE - 1), min_size=2), min_size=1, max_size=4)
keys = st.one_of(st.none(), st.integers(0, 2))
batches = st.lists(
    st.lists(st.builds(Said, st.integers(0, PEOPLE - 1), st.integers(0, 4), keys), min_size=1, max_size=8),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(groups_of_people, batches)
async def test_a_batch_equals_the_same_messages_one_by_one(
    database: Database, groups: list[frozenset[int]], said: list[list[Said]]
):
    async with database.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            together, apart = [await make_world(connection, groups) for _ in range(2)]
            for number, batch in enumerate(said):
                contents = [f"{number} {place}" for place in range(len(batch))]
                pairs = list(zip(batch, contents, strict=True))
                expected = await one_by_one(connection, [apart.outgoing(*pair) for pair in pairs])
                outgoing = [together.outgoing(*pair) for pair in pairs]
                if len(batch) == 1:
                    # On its own, it would end this transaction when its key is already used.
                    outcomes = await one_by_one(connection, outgoing)
                else:
                    outcomes = await inboxes.deliver_all(connection, outgoing)
                assert [*map(together.told, outcomes)] == [*map(apart.told, expected)]
                assert await everything(connection, together) == await everything(connection, apart)
        finally:
            await transaction.rollback()


async def test_concurrent_writers_cause_no_gaps_and_no_deadlocks(database: Database):
    """Two processes write batches, and other tasks write single messages, all to the same conversations."""
    dice = Random(7)
    groups = [frozenset(pair) for pair in combinations(range(PEOPLE), 2)]
    groups += [frozenset(dice.sample(range(PEOPLE), size)) for size in (3, 4, 5, 5)]
    async with database.transaction() as connection:
        world = await make_world(connection, groups)
    world = World(world.people, world.talks, [uuid4() for _ in range(40)])
    said = [
        Said(
            dice.randrange(PEOPLE),
            dice.randrange(len(groups) + 1),
            dice.choice([None, None, dice.randrange(40)]),
        )
        for _ in range(600)
    ]
    messages = [world.outgoing(each, f"{number}") for number, each in enumerate(said)]

    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(open_database(database.url)) for _ in range(2)]

        async def alone(message: Outgoing) -> Delivered | NotStored:
            async with processes[0].connection() as connection:
                [outcome] = await inboxes.deliver_all(connection, [message])
                return outcome

        ways = (processes[0].deliveries.deliver, processes[1].deliveries.deliver, alone)
        async with asyncio.timeout(60):
            outcomes = await asyncio.gather(
                *(ways[number % len(ways)](message) for number, message in enumerate(messages))
            )
    stored: Counter[tuple[int, int]] = Counter()
    for each, outcome in zip(said, outcomes, strict=True):
        is_permitted = each.talk < len(groups) and each.author in groups[each.talk]
        assert (outcome is NotStored.NO_CONVERSATION) == (not is_permitted)
        if is_permitted and each.key is not None:
            stored[each.author, each.key] += isinstance(outcome, Delivered)
        elif is_permitted:
            assert isinstance(outcome, Delivered)
    # Of the messages with the same key, only the first is stored, whichever batch that is in.
    assert set(stored.values()) == {1}
    delivered = [outcome for outcome in outcomes if isinstance(outcome, Delivered)]
    async with database.connection() as connection:
        for talk in world.talks:
            numbers = sorted(each.message.seq for each in delivered if each.message.conversation_id == talk)
            assert numbers == list(range(1, len(numbers) + 1))
        for user_id in world.people:
            entries = (await read_messages(connection, user_id, after=0, limit=10_000)).entries
            assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
            assert [(entry.position, entry.message) for entry in entries] == sorted(
                ((each.positions[user_id], each.message) for each in delivered if user_id in each.positions),
                key=lambda entry: entry[0],
            )
            for talk in world.talks:
                here = messages_of(each for each in entries if each.conversation_id == talk)
                assert [message.seq for message in here] == list(range(1, len(here) + 1))
                times = [message.created_at for message in here]
                assert times == sorted(times)

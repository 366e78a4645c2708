"""Delivery into inboxes has no gaps, keeps the order, happens once, and does not deadlock."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import combinations
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert
from uuid_utils.compat import uuid7

from db import conversations, ids, inboxes, messages
from db.engine import Database
from db.prefetched import SeqRange
from db.records import User
from db.tables import conversations as conversations_table
from db.tables import participants
from tests.support.entries import message_of, read_messages
from tests.support.tables import tables

PersonMaker = Callable[[str], Awaitable[User]]


async def opens(database: Database, one: User, other: User) -> tuple[UUID, bool]:
    async with database.transaction() as connection:
        return await conversations.open_pair(connection, one.id, other.id)


async def sends(
    database: Database, author: User, conversation: UUID, content: str, key: UUID | None = None
) -> inboxes.Delivered | None:
    async with database.transaction() as connection:
        return await inboxes.deliver(connection, conversation, author.id, content, key)


async def inbox_of(database: Database, user: User, *, after: int = 0) -> list[tuple[int, str]]:
    async with database.snapshot() as connection:
        page = await read_messages(connection, user.id, after=after, limit=10_000)
    return [(entry.position, message_of(entry).content) for entry in page.entries]


async def test_a_message_is_delivered_to_the_inbox_of_every_participant(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation, _ = await opens(database, ada, grace)
    await sends(database, ada, conversation, "hello")
    delivered = await sends(database, grace, conversation, "hello yourself")
    assert delivered is not None
    assert delivered.message.seq == 2
    assert delivered.positions == {ada.id: 2, grace.id: 2}
    for user in (ada, grace):
        assert await inbox_of(database, user) == [(1, "hello"), (2, "hello yourself")]
    assert await inbox_of(database, ada, after=1) == [(2, "hello yourself")]


async def test_an_entry_has_the_same_tag_when_it_is_appended_as_when_it_is_read(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation, _ = await opens(database, ada, grace)
    tags: list[int] = []
    for content in ("one", "two"):
        delivered = await sends(database, ada, conversation, content)
        assert delivered is not None
        tags.append(dict(delivered.appended.entries())[grace.id].tag)
    async with database.snapshot() as connection:
        page = await read_messages(connection, grace.id, after=0, limit=10)
    assert [entry.tag for entry in page.entries] == tags
    assert len(set(tags)) == 2


async def test_sending_marks_the_conversation_as_read_up_to_that_message(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation, _ = await opens(database, ada, grace)
    await sends(database, ada, conversation, "one")
    await sends(database, ada, conversation, "two")
    async with database.snapshot() as connection:
        [by_ada], _ = await conversations.recent(connection, ada.id, before=None, limit=5)
        [by_grace], _ = await conversations.recent(connection, grace.id, before=None, limit=5)
    assert by_ada.unread_count == 0
    assert by_grace.unread_count == 2


async def test_a_clock_that_is_set_back_changes_no_order(
    database: Database, person: PersonMaker, monkeypatch: pytest.MonkeyPatch
):
    ada, grace, alan, edsger = [await person(name) for name in ("ada", "grace", "alan", "edsger")]
    with_grace, with_alan, with_edsger = [
        (await opens(database, ada, other))[0] for other in (grace, alan, edsger)
    ]
    # The clock of the server and of the database is an hour fast.
    monkeypatch.setattr(ids, "uuid7", lambda: uuid7(nanoseconds=time.time_ns() + 3600 * 10**9))
    await sends(database, grace, with_grace, "one")
    await sends(database, grace, with_grace, "two")
    await sends(database, alan, with_alan, "three")
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE messages SET created_at = created_at + interval '1 hour'"
            " WHERE conversation_id = ANY ($1)",
            [with_grace, with_alan],
        )
    # Then both are set.
    monkeypatch.undo()

    async def recent(before: int | None = None) -> list[UUID]:
        async with database.snapshot() as connection:
            page, _ = await conversations.recent(connection, ada.id, before=before, limit=5)
        return [row.id for row in page]

    assert await recent() == [with_alan, with_grace]
    assert await recent(before=3) == [with_grace]
    await sends(database, edsger, with_edsger, "four")
    assert await recent() == [with_edsger, with_alan, with_grace]
    assert await recent(before=3) == [with_grace]
    await sends(database, grace, with_grace, "five")
    assert await recent() == [with_grace, with_edsger, with_alan]
    assert await recent(before=4) == [with_alan]
    assert [content for _, content in await inbox_of(database, ada)] == [
        "one",
        "two",
        "three",
        "four",
        "five",
    ]
    async with database.snapshot() as connection:
        page = await messages.in_ranges(connection, ada.id, [SeqRange(with_grace, 1, 3)])
    assert [message.content for message in page] == ["one", "two", "five"]


async def test_a_stranger_cannot_send(database: Database, person: PersonMaker):
    ada, grace, eve = await person("ada"), await person("grace"), await person("eve")
    conversation, _ = await opens(database, ada, grace)
    assert await sends(database, eve, conversation, "let me in") is None
    assert await sends(database, ada, uuid4(), "is anybody there") is None
    assert await inbox_of(database, ada) == []


async def test_opening_twenty_times_from_both_sides_creates_one_conversation(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    opened = await asyncio.gather(
        *(opens(database, *pair) for pair in ((ada, grace), (grace, ada)) for _ in range(10))
    )
    assert len({conversation for conversation, _ in opened}) == 1
    # It is new to each of them once.
    assert [sum(is_new for _, is_new in opened[start : start + 10]) for start in (0, 10)] == [1, 1]
    async with database.snapshot() as connection:
        assert len(await conversations.participants_of(connection, [opened[0][0]])) == 2


async def test_twenty_requests_with_one_idempotency_key_create_one_message(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation, _ = await opens(database, ada, grace)
    key = uuid4()
    outcomes = await asyncio.gather(
        *(sends(database, ada, conversation, "once", key) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, inboxes.Delivered) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, inboxes.IdempotencyKeyUsed) for outcome in outcomes) == 19
    assert await inbox_of(database, grace) == [(1, "once")]
    async with database.snapshot() as connection:
        sent = await messages.by_idempotency_key(
            connection, ada.id, key, conversation_id=conversation, content="once"
        )
    assert sent is not None
    assert sent.is_same
    assert (sent.message.seq, sent.message.content) == (1, "once")


async def test_concurrent_messages_between_all_users_leave_no_gaps(database: Database, person: PersonMaker):
    people = [await person(f"p{number}") for number in range(6)]
    pairs = [(one, other, (await opens(database, one, other))[0]) for one, other in combinations(people, 2)]
    sending = [
        sends(database, author, conversation, f"{author.username} {number}")
        for one, other, conversation in pairs
        for number in range(10)
        for author in (one, other)
    ]
    assert all(await asyncio.wait_for(asyncio.gather(*sending), 60))
    for user in people:
        entries = await inbox_of(database, user)
        assert [position for position, _ in entries] == list(range(1, 5 * 2 * 10 + 1))
        assert len({content for _, content in entries}) == 60


async def test_concurrent_messages_to_overlapping_groups_do_not_deadlock(
    database: Database, person: PersonMaker
):
    people = [await person(f"p{number}") for number in range(6)]
    groups = [uuid4() for _ in range(20)]
    async with tables(database) as connection:
        await connection.execute(insert(conversations_table), [{"id": group} for group in groups])
        members = [{"conversation_id": group, "user_id": user.id} for group in groups for user in people]
        await connection.execute(insert(participants), members)
    sending = [sends(database, user, group, "hello") for user in people for group in groups]
    assert all(await asyncio.wait_for(asyncio.gather(*sending), 60))
    for user in people:
        assert [position for position, _ in await inbox_of(database, user)] == list(range(1, 121))


async def test_a_reader_never_sees_a_lower_position_after_a_higher_one(
    database: Database, person: PersonMaker
):
    """A position is withheld until all lower positions are committed, in whichever conversation they are."""
    ada = await person("ada")
    friends = [await person(f"friend{number}") for number in range(5)]
    rooms = [(friend, (await opens(database, friend, ada))[0]) for friend in friends]
    sending = asyncio.gather(
        *(sends(database, friend, room, f"{number}") for friend, room in rooms for number in range(20))
    )
    cursor = 0
    while not sending.done() or cursor < 100:
        async with asyncio.timeout(30):
            for position, _ in await inbox_of(database, ada, after=cursor):
                assert position == cursor + 1
                cursor = position
    await sending


@pytest.mark.parametrize("content", ["", "x" * 481])
async def test_the_database_rejects_content_of_invalid_length(
    database: Database, person: PersonMaker, content: str
):
    ada, grace = await person("ada"), await person("grace")
    conversation, _ = await opens(database, ada, grace)
    with pytest.raises(Exception, match="messages_content_check"):
        await sends(database, ada, conversation, content)
    assert await inbox_of(database, ada) == []

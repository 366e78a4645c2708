"""Pages of an inbox: entries of the requested kinds, and the last one of each thing."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db import conversations, inbox_log, inboxes, users
from db.engine import Database, open_database
from db.entries import (
    MESSAGE_CREATED,
    MESSAGE_DELETED,
    MESSAGE_UPDATED,
    READ_MARK_MOVED,
    USER_UPDATED,
    InboxEntry,
    InboxPage,
)
from db.inbox_log import PageAsked
from db.migrations import migrate
from db.records import User
from db.retention import trim_batch
from db.users import UserGone
from tests.conftest import Noted, PersonMaker
from tests.support.changes import deletes, edits, renames
from tests.support.entries import message_of

ALL = frozenset({MESSAGE_CREATED, MESSAGE_UPDATED, MESSAGE_DELETED, USER_UPDATED})


async def talk(database: Database, ada: User, grace: User) -> UUID:
    async with database.transaction() as connection:
        return (await conversations.open_pair(connection, ada.id, grace.id))[0]


async def sends(database: Database, author: User, conversation: UUID, content: str) -> UUID:
    async with database.transaction() as connection:
        delivered = await inboxes.deliver(connection, conversation, author.id, content)
    assert delivered is not None
    return delivered.message.id


async def page(
    database: Database,
    user_id: UUID,
    *,
    after: int | None = 0,
    kinds: Collection[int] = ALL,
    include_mine: bool = True,
    limit: int = 100,
) -> InboxPage:
    async with database.connection() as connection:
        return await inbox_log.page(connection, PageAsked(user_id, after, kinds, include_mine, limit))


def places(found: InboxPage) -> list[tuple[int, int]]:
    return [(entry.position, entry.kind) for entry in found.entries]


async def test_a_page_has_the_requested_kinds_with_their_subjects_as_they_are_now(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    message = await sends(database, ada, conversation, "frist")
    await edits(database, message, "first")
    await renames(database, ada.id, f"{ada.username}-2", told=[ada.id, grace.id])
    found = await page(database, grace.id)
    assert places(found) == [(1, MESSAGE_CREATED), (2, MESSAGE_UPDATED), (3, USER_UPDATED)]
    created, updated, renamed = found.entries
    assert [message_of(each).content for each in (created, updated)] == ["first", "first"]
    assert (updated.actor_id, updated.conversation_id) == (ada.id, conversation)
    assert renamed == InboxEntry(3, USER_UPDATED, None, ada.id, ada.id, renamed.created_at)
    assert (found.up_to, found.tag, found.is_end, found.looked_at) == (3, renamed.tag, True, 3)
    some = await page(database, grace.id, kinds={USER_UPDATED})
    assert (places(some), some.up_to, some.tag) == ([(3, USER_UPDATED)], 3, renamed.tag)
    none = await page(database, grace.id, kinds={READ_MARK_MOVED}, limit=2)
    assert (none.entries, none.up_to, none.tag, none.is_end) == ([], 2, updated.tag, False)
    assert places(await page(database, ada.id, include_mine=False)) == []


async def test_of_several_entries_about_one_thing_a_page_has_the_last(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    one, two = [await sends(database, ada, conversation, content) for content in ("one", "two")]
    for content in ("a", "b", "c"):
        await edits(database, one, content)
        await edits(database, two, content)
    await deletes(database, one)
    assert places(await page(database, grace.id)) == [
        (1, MESSAGE_CREATED),
        (2, MESSAGE_CREATED),
        (7, MESSAGE_UPDATED),
        (8, MESSAGE_UPDATED),
        (9, MESSAGE_DELETED),
    ]
    # Merging is within a page: one that ends before the last one has an earlier one.
    assert places(await page(database, grace.id, limit=4))[2:] == [(3, MESSAGE_UPDATED), (4, MESSAGE_UPDATED)]


async def test_entries_of_conversations_of_others_and_of_messages_that_are_gone_are_left_out(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    gone, kept = [await sends(database, ada, conversation, content) for content in ("gone", "kept")]
    await edits(database, gone, "still gone")
    await edits(database, kept, "still kept")
    async with database.connection() as connection:
        await connection.execute("DELETE FROM messages WHERE id = $1", gone)
    found = await page(database, grace.id)
    assert places(found) == [(2, MESSAGE_CREATED), (4, MESSAGE_UPDATED)]
    async with database.connection() as connection:
        await connection.execute(
            "DELETE FROM participants WHERE conversation_id = $1 AND user_id = $2", conversation, grace.id
        )
    found = await page(database, grace.id)
    assert (found.entries, found.up_to, found.is_end) == ([], 4, True)


async def test_an_inbox_of_a_user_who_does_not_exist_is_not_read(database: Database):
    with pytest.raises(UserGone):
        await page(database, UUID(int=7))


async def test_a_page_is_one_statement(noted: Noted, database: Database, person: PersonMaker):
    ada, grace = await person("ada"), await person("grace")
    await sends(database, ada, await talk(database, ada, grace), "hello")
    own, statements = noted
    assert places(await page(own, grace.id)) == [(1, MESSAGE_CREATED)]
    assert len(statements) == 1


steps = st.lists(
    st.tuples(st.sampled_from(["edit", "edit", "delete", "rename"]), st.integers(0, 2)), max_size=12
)


@settings(max_examples=25, deadline=None)
@given(steps=steps, limit=st.integers(1, 6))
async def test_whatever_is_merged_nothing_is_reordered_and_the_last_of_each_thing_is_there(
    database: Database, steps: list[tuple[str, int]], limit: int
):
    names = [f"u-{uuid4().hex[:12]}" for _ in range(2)]
    async with open_database(database.url) as own:
        async with own.transaction() as connection:
            ada, grace = [await users.create(connection, name) for name in names]
        conversation = await talk(own, ada, grace)
        messages = [await sends(own, ada, conversation, "hello") for _ in range(3)]
        deleted: set[int] = set()
        for number, (step, which) in enumerate(steps):
            if step == "edit" and which not in deleted:
                await edits(own, messages[which], f"{number}")
            elif step == "delete":
                deleted.add(which)
                await deletes(own, messages[which])
            else:
                await renames(own, ada.id, f"{names[0]}-{number}", told=[grace.id])
        async with own.connection() as connection:
            log = [
                (row["position"], row["kind"], row["subject"])
                for row in await connection.fetch(
                    "SELECT position, kind, coalesce(message_id, subject_id) AS subject FROM inbox_entries"
                    " WHERE user_id = $1 ORDER BY position",
                    grace.id,
                )
            ]
        read: list[tuple[int, int, UUID]] = []
        after = 0
        while True:
            found = await page(own, grace.id, after=after, limit=limit)
            read += [(entry.position, entry.kind, entry.subject_id) for entry in found.entries]
            assert found.up_to == min(after + limit, len(log))
            after = found.up_to
            if found.is_end:
                break
    assert read == sorted(set(read) & set(log))
    last_of_each = {(kind, subject): position for position, kind, subject in log}
    assert {(position, *thing) for thing, position in last_of_each.items()} <= set(read)


async def test_a_page_has_the_tag_of_the_entry_before_it(database: Database, person: PersonMaker):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    empty = await page(database, grace.id)
    assert (empty.standing.last_position, empty.standing.tag, empty.up_to, empty.tag) == (0, None, 0, None)
    message = await sends(database, ada, conversation, "hello")
    await edits(database, message, "Hello")
    created, updated = (await page(database, grace.id)).entries
    found = await page(database, grace.id, after=1)
    assert (found.standing.last_position, found.standing.tag, found.tag) == (2, created.tag, updated.tag)
    async with database.connection() as connection:
        state = await inboxes.state(connection, grace.id)
    assert (state.epoch, state.last_position, state.tag) == (found.standing.epoch, 2, updated.tag)


async def test_the_page_at_the_end_is_empty_and_says_where_that_is(database: Database, person: PersonMaker):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    assert (await page(database, grace.id, after=None)).up_to == 0
    for content in ("one", "two"):
        await sends(database, ada, conversation, content)
    *_, last = (await page(database, grace.id)).entries
    end = await page(database, grace.id, after=None)
    assert (end.entries, end.up_to, end.tag, end.standing.tag) == ([], 2, last.tag, last.tag)
    assert (end.is_end, end.looked_at) == (True, 0)


async def trim(database: Database, before: datetime) -> None:
    async with database.transaction() as connection:
        assert await trim_batch(connection, before=before, after=UUID(int=0)) is not None


async def test_what_is_trimmed_is_noted_by_kind_and_by_whose_action_it_was(empty_database: Database):
    database = empty_database
    await migrate(database)
    async with database.transaction() as connection:
        ada, grace = [await users.create(connection, name) for name in ("ada", "grace")]
    conversation = await talk(database, ada, grace)
    message = await sends(database, ada, conversation, "hello")
    await edits(database, message, "Hello")
    await renames(database, grace.id, "grace-2", told=[ada.id])
    await trim(database, datetime.now(UTC) + timedelta(days=1))
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT user_id, kind, own, trimmed_to FROM inbox_trims ORDER BY user_id, kind"
        )
    assert {tuple(row) for row in rows} == {
        (ada.id, MESSAGE_CREATED, True, 1),
        (ada.id, MESSAGE_UPDATED, True, 2),
        (ada.id, USER_UPDATED, False, 3),
        (grace.id, MESSAGE_CREATED, False, 1),
        (grace.id, MESSAGE_UPDATED, False, 2),
    }

    async def is_trimmed(
        user: User, after: int, kinds: Collection[int], *, include_mine: bool = True
    ) -> bool:
        try:
            read = await page(database, user.id, after=after, kinds=kinds, include_mine=include_mine)
        except inbox_log.Trimmed:
            return True
        assert (read.entries, read.up_to, read.tag) == ([], read.standing.last_position, None)
        return False

    assert await is_trimmed(ada, 0, {MESSAGE_CREATED})
    assert not await is_trimmed(ada, 0, {MESSAGE_CREATED}, include_mine=False)
    assert not await is_trimmed(ada, 1, {MESSAGE_CREATED})
    assert await is_trimmed(ada, 1, {MESSAGE_CREATED, MESSAGE_UPDATED})
    assert await is_trimmed(ada, 2, ALL, include_mine=False)
    assert not await is_trimmed(ada, 2, ALL - {USER_UPDATED})
    assert await is_trimmed(grace, 0, {MESSAGE_CREATED}, include_mine=False)
    assert not await is_trimmed(grace, 1, {MESSAGE_CREATED})
    # The version before notes that anything may be missing.
    async with database.connection() as connection:
        await connection.execute("UPDATE inboxes SET trimmed_to = last_position + 1, last_position = 9")
    assert await is_trimmed(grace, 2, {READ_MARK_MOVED})


async def test_a_trim_stops_at_the_first_recent_entry_of_any_kind(empty_database: Database):
    database = empty_database
    await migrate(database)
    async with database.transaction() as connection:
        ada, grace = [await users.create(connection, name) for name in ("ada", "grace")]
    conversation = await talk(database, ada, grace)
    message = await sends(database, ada, conversation, "old")
    await sends(database, ada, conversation, "gone")
    await edits(database, message, "recent")
    async with database.connection() as connection:
        await connection.execute("UPDATE messages SET created_at = created_at - interval '2 days'")
        await connection.execute("DELETE FROM messages WHERE content = 'gone'")
    await trim(database, datetime.now(UTC) - timedelta(days=1))
    async with database.connection() as connection:
        kept = await connection.fetch("SELECT position FROM inbox_entries WHERE user_id = $1", grace.id)
        trimmed = await connection.fetchval("SELECT trimmed_to FROM inboxes WHERE user_id = $1", grace.id)
    assert ([row["position"] for row in kept], trimmed) == ([3], 2)

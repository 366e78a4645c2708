"""Edited and deleted messages keep their places, tell every inbox, and leave no text behind."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from asyncpg import LockNotAvailableError

from db import conversations, edits, inboxes, messages
from db.edits import LockedMessage
from db.engine import Database
from db.entries import MESSAGE_DELETED, MESSAGE_UPDATED, Appended
from db.prefetched import SeqRange
from db.records import Message, User
from db.statements import Connection
from tests.support.counts import miscounted
from tests.support.marks import read_up_to
from tests.support.serving import eventually_async

PersonMaker = Callable[[str], Awaitable[User]]


@dataclass
class Talk:
    """A conversation between Ada and Grace."""

    database: Database
    id: UUID
    ada: User
    grace: User

    async def sends(self, author: User, content: str, key: UUID | None = None) -> Message:
        async with self.database.connection() as connection:
            delivered = await inboxes.deliver(connection, self.id, author.id, content, key)
        assert delivered is not None
        return delivered.message

    async def edits(self, message: Message, content: str) -> Appended:
        async with self.database.transaction() as connection:
            assert await edits.lock(connection, message.author_id, message.id)
            return await edits.edit(connection, message.id, content, actor=message.author_id)

    async def deletes(self, *deleted: Message, by: User | None = None) -> list[Appended]:
        actor = (by or self.ada).id
        async with self.database.transaction() as connection:
            assert await edits.lock(connection, actor, deleted[0].id)
            return [
                *await edits.delete(connection, self.id, [message.id for message in deleted], actor=actor)
            ]

    async def unread_counts(self) -> tuple[int, int]:
        """Return what Ada and Grace have not read, by the conversation and by the totals."""
        found: list[int] = []
        async with self.database.snapshot() as connection:
            for user in (self.ada, self.grace):
                [seen] = await conversations.by_ids(connection, user.id, [self.id])
                state = await inboxes.state(connection, user.id)
                assert state.unread.messages == seen.unread_count
                assert state.unread.conversations == (seen.unread_count > 0)
                found.append(seen.unread_count)
            assert await miscounted(connection, [self.ada.id, self.grace.id]) == []
        return found[0], found[1]

    async def digest_of(self, message: Message) -> bytes | None:
        async with self.database.snapshot() as connection:
            return await connection.fetchval("SELECT sent_digest FROM messages WHERE id = $1", message.id)

    async def entries(self, user: User) -> list[dict[str, Any]]:
        """Return the entries of the user's inbox, in order."""
        async with self.database.snapshot() as connection:
            rows = await connection.fetch(
                "SELECT * FROM inbox_entries WHERE user_id = $1 ORDER BY position", user.id
            )
        return [dict(row) for row in rows]


@pytest.fixture
async def talk(database: Database, person: PersonMaker) -> Talk:
    ada, grace = await person("ada"), await person("grace")
    async with database.transaction() as connection:
        conversation_id, _ = await conversations.open_pair(connection, ada.id, grace.id)
    return Talk(database, conversation_id, ada, grace)


async def test_an_edit_is_an_entry_in_every_inbox(talk: Talk):
    sent = await talk.sends(talk.ada, "hello")
    appended = await talk.edits(sent, "hello there")
    edited = appended.message
    assert edited is not None
    assert (edited.content, edited.version, edited.seq) == ("hello there", 2, sent.seq)
    assert edited.created_at == sent.created_at
    assert edited.edited_at is not None
    assert (appended.kind, appended.created_at) == (MESSAGE_UPDATED, edited.edited_at)
    assert appended.positions == {talk.ada.id: 2, talk.grace.id: 2}
    for user in (talk.ada, talk.grace):
        assert (await talk.entries(user))[1:] == [entry_of(user, 2, MESSAGE_UPDATED, sent, edited.edited_at)]


async def test_deleted_messages_keep_their_places_and_are_entries_in_their_order(talk: Talk):
    sent = [await talk.sends(talk.ada, f"number {number}") for number in range(1, 6)]
    # In another order, and with one that has already been deleted.
    assert len(await talk.deletes(sent[1])) == 1
    deleted = await talk.deletes(sent[3], sent[1], sent[0])
    assert [each.subject_id for each in deleted] == [sent[0].id, sent[3].id]
    assert [each.kind for each in deleted] == [MESSAGE_DELETED] * 2
    assert [each.positions for each in deleted] == [
        {talk.ada.id: position, talk.grace.id: position} for position in (7, 8)
    ]
    async with talk.database.snapshot() as connection:
        page = await messages.in_ranges(connection, talk.ada.id, [SeqRange(talk.id, 1, 5)])
    assert [message.seq for message in page] == [1, 2, 3, 4, 5]
    assert [message.content for message in page] == ["", "", "number 3", "", "number 5"]
    assert [message.version for message in page] == [2, 2, 1, 2, 1]
    assert [message.deleted_at is None for message in page] == [False, False, True, False, True]
    for user in (talk.ada, talk.grace):
        entries = await talk.entries(user)
        assert [entry["position"] for entry in entries] == list(range(1, 9))
        assert entries[6:] == [
            entry_of(user, position, MESSAGE_DELETED, sent[place], page[place].deleted_at)
            for position, place in ((7, 0), (8, 3))
        ]


async def test_messages_of_another_conversation_are_not_deleted(talk: Talk, person: PersonMaker):
    other = await person("other")
    async with talk.database.transaction() as connection:
        elsewhere, _ = await conversations.open_pair(connection, talk.ada.id, other.id)
    foreign = await Talk(talk.database, elsewhere, talk.ada, other).sends(talk.ada, "elsewhere")
    sent = await talk.sends(talk.ada, "here")
    assert [each.subject_id for each in await talk.deletes(sent, foreign)] == [sent.id]


async def test_unread_counts_follow_deletions(talk: Talk):
    read = await talk.sends(talk.ada, "read")
    await talk.sends(talk.grace, "an answer")
    unread = [await talk.sends(talk.ada, text) for text in ("one", "two", "three")]
    assert await talk.unread_counts() == (0, 3)
    await talk.deletes(unread[1])
    assert await talk.unread_counts() == (0, 2)
    await talk.deletes(unread[1], read)
    assert await talk.unread_counts() == (0, 2), "neither of them was unread"
    await talk.deletes(unread[0], unread[2])
    assert await talk.unread_counts() == (0, 0)
    await talk.sends(talk.ada, "four")
    assert await talk.unread_counts() == (0, 1)


async def test_reading_past_a_deleted_message_leaves_exact_counts(talk: Talk):
    sent = [await talk.sends(talk.ada, str(number)) for number in range(5)]
    await talk.deletes(sent[1], sent[3])
    assert await talk.unread_counts() == (0, 3)
    async with talk.database.connection() as connection:
        await read_up_to(connection, talk.id, talk.grace.id, sent[2].seq)
    assert await talk.unread_counts() == (0, 1)
    await talk.deletes(sent[0])
    assert await talk.unread_counts() == (0, 1)
    await talk.deletes(sent[4])
    assert await talk.unread_counts() == (0, 0)


async def test_no_text_remains_in_any_table_after_an_edit_or_a_deletion(talk: Talk):
    """Only a digest remains, of what was sent with an idempotency key."""
    key = uuid4()
    texts = [f"{word}-{uuid4().hex}" for word in ("first", "second", "third")]
    sent = await talk.sends(talk.ada, texts[0], key)
    assert await talk.digest_of(sent) is None
    assert await found(talk.database, texts) == {texts[0]}
    await talk.edits(sent, texts[1])
    assert await found(talk.database, texts) == {texts[1]}
    digest = await talk.digest_of(sent)
    assert digest is not None
    assert len(digest) == 4
    await talk.edits(sent, texts[2])
    assert await found(talk.database, texts) == {texts[2]}
    await talk.deletes(sent)
    assert await found(talk.database, texts) == set()
    assert await talk.digest_of(sent) == digest

    without_key = await talk.sends(talk.ada, texts[0])
    await talk.deletes(without_key)
    assert await found(talk.database, texts) == set()
    assert await talk.digest_of(without_key) is None


@pytest.mark.parametrize("then", ["nothing", "edited", "edited twice", "edited and deleted", "deleted"])
async def test_a_repeated_key_is_compared_with_what_was_first_sent(talk: Talk, then: str):
    key = uuid4()
    sent = await talk.sends(talk.ada, "as sent", key)
    if "edited" in then:
        await talk.edits(sent, "as edited")
    if "twice" in then:
        await talk.edits(sent, "as edited again")
    if "deleted" in then:
        await talk.deletes(sent)

    async def is_same(content: str, conversation_id: UUID = talk.id) -> bool:
        async with talk.database.snapshot() as connection:
            before = await messages.by_idempotency_key(
                connection, talk.ada.id, key, conversation_id=conversation_id, content=content
            )
            [now] = await messages.visible_to(connection, talk.ada.id, [sent.id])
        assert before is not None
        assert before.message == now
        return before.is_same

    assert await is_same("as sent")
    assert not await is_same("as edited")
    assert not await is_same("")
    assert not await is_same("as sent", uuid4())


async def test_only_participants_with_an_inbox_can_lock_a_message(talk: Talk, person: PersonMaker):
    sent = await talk.sends(talk.ada, "hello")
    eve = await person("eve")
    async with talk.database.transaction() as connection:
        assert await edits.lock(connection, eve.id, sent.id) is None
        assert await edits.lock(connection, talk.ada.id, uuid4()) is None
        locked = await edits.lock(connection, talk.grace.id, sent.id)
        assert locked is not None
        assert locked.message == sent
        assert 0 <= locked.age_seconds + 0.001 < 60
        # A removed user has no inbox.
        await connection.execute("DELETE FROM inboxes WHERE user_id = $1", talk.grace.id)
        assert await edits.lock(connection, talk.grace.id, sent.id) is None


async def test_messages_are_deleted_even_if_no_participant_has_an_inbox(talk: Talk):
    sent = await talk.sends(talk.ada, "hello")
    async with talk.database.transaction() as connection:
        users = [talk.ada.id, talk.grace.id]
        await connection.execute("DELETE FROM inboxes WHERE user_id = ANY($1)", users)
        [deleted] = await edits.delete(connection, talk.id, [sent.id], actor=talk.ada.id)
    assert deleted.positions == {}
    assert deleted.message is not None
    assert deleted.message.content == ""


@pytest.mark.parametrize("first", ["edited", "deleted"])
async def test_a_lock_waits_for_others_and_then_sees_what_they_have_changed(talk: Talk, first: str):
    sent = await talk.sends(talk.ada, "hello")

    async def changes_later(connection: Connection) -> LockedMessage | None:
        async with connection.transaction():
            return await edits.lock(connection, talk.ada.id, sent.id)

    async with talk.database.connection() as waiting:
        process_id: int = await waiting.fetchval("SELECT pg_backend_pid()")
        async with talk.database.transaction() as connection:
            assert await edits.lock(connection, talk.ada.id, sent.id)
            later = asyncio.create_task(changes_later(waiting))
            await eventually_async(lambda: waits(talk.database, process_id))
            if first == "edited":
                await edits.edit(connection, sent.id, "edited", actor=talk.ada.id)
            else:
                await edits.delete(connection, talk.id, [sent.id], actor=talk.ada.id)
        async with asyncio.timeout(20):
            locked = await later
    assert locked is not None
    assert locked.message.version == 2
    assert (locked.message.deleted_at is None) == (first == "edited")
    assert locked.message.content == ("edited" if first == "edited" else "")


@pytest.mark.parametrize("table", ["conversations", "messages"])
async def test_a_locked_message_is_locked_with_its_conversation(talk: Talk, table: str):
    """So that changes of several messages of a conversation do not wait for each other in a circle."""
    sent = await talk.sends(talk.ada, "hello")
    row_id = talk.id if table == "conversations" else sent.id
    statement = f"SELECT FROM {table} WHERE id = $1 FOR NO KEY UPDATE NOWAIT"
    async with talk.database.transaction() as connection, talk.database.connection() as other:
        assert len(await other.fetch(statement, row_id)) == 1
        assert await edits.lock(connection, talk.ada.id, sent.id)
        with pytest.raises(LockNotAvailableError):
            await other.fetch(statement, row_id)


def entry_of(
    user: User, position: int, kind: int, message: Message, moment: datetime | None
) -> dict[str, Any]:
    """Return the row of an entry about what the author has done to a message."""
    return {
        "user_id": user.id,
        "position": position,
        "message_id": None,
        "kind": kind,
        "conversation_id": message.conversation_id,
        "subject_id": message.id,
        "actor_id": message.author_id,
        "created_at": moment,
    }


async def waits(database: Database, process_id: int) -> bool:
    """Return whether the connection waits for a lock."""
    async with database.connection() as connection:
        return await connection.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", process_id)


async def found(database: Database, texts: list[str]) -> set[str]:
    """Return which of the texts are in a row of any table."""
    async with database.snapshot() as connection:
        names: list[str] = [
            row["name"]
            for row in await connection.fetch(
                "SELECT CAST(oid AS regclass)::text AS name FROM pg_class"
                " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
        ]
        assert "messages" in names
        return {
            text
            for text in texts
            for name in names
            if await connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {name} AS t WHERE strpos(CAST(t AS text), $1) > 0)", text
            )
        }

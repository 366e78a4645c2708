"""Read marks move forward only, are entries in the inboxes of those who are told, and count exactly."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import conversations, edits, inboxes, read_marks
from db.engine import Database
from db.entries import READ_MARK_MOVED
from db.ids import new_id
from db.read_marks import Marked, NotMarked
from db.records import Conversation, Message, User
from tests.support.counts import miscounted
from tests.support.serving import eventually_async

WAITING = """
    SELECT count(*) > 0 FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%seen AS MATERIALIZED%'
      AND pid <> pg_backend_pid()
"""
PersonMaker = Callable[[str], Awaitable[User]]


@dataclass
class Group:
    """A conversation of several users, with messages."""

    database: Database
    id: UUID
    people: Sequence[UUID]

    async def sends(self, author: UUID) -> Message:
        async with self.database.connection() as connection:
            delivered = await inboxes.deliver(connection, self.id, author, "hello")
        assert delivered is not None
        return delivered.message

    async def deletes(self, message: Message) -> None:
        async with self.database.transaction() as connection:
            assert await edits.lock(connection, message.author_id, message.id)
            await edits.delete(connection, self.id, [message.id], actor=message.author_id)

    async def marks(
        self, reader: UUID, up_to: Message | None = None, *, most_participants: int = 32, **other: Any
    ) -> Marked:
        """Mark the conversation as read, up to its last message unless another one is given."""
        marked = await self.tries_to_mark(
            reader, up_to and up_to.id, whole=up_to is None, most_participants=most_participants, **other
        )
        assert isinstance(marked, Marked)
        return marked

    async def tries_to_mark(
        self, reader: UUID, up_to: UUID | None, *, whole: bool, most_participants: int = 32, **other: Any
    ) -> Marked | NotMarked:
        async with self.database.connection() as connection:
            return await read_marks.mark_read(
                connection,
                self.id,
                reader,
                up_to=up_to,
                whole=whole,
                most_participants=most_participants,
                **other,
            )

    async def seen_by(self, reader: UUID) -> Conversation:
        async with self.database.snapshot() as connection:
            [seen] = await conversations.by_ids(connection, reader, [self.id])
        return seen

    async def marks_in(self, reader: UUID) -> list[tuple[int, UUID, UUID]]:
        """Return the position, subject and actor of each entry of a mark in the inbox."""
        async with self.database.snapshot() as connection:
            rows = await connection.fetch(
                "SELECT position, conversation_id, subject_id, actor_id FROM inbox_entries"
                " WHERE user_id = $1 AND kind = $2 ORDER BY position",
                reader,
                READ_MARK_MOVED,
            )
        assert {row["conversation_id"] for row in rows} <= {self.id}
        return [(row["position"], row["subject_id"], row["actor_id"]) for row in rows]

    async def check(self) -> None:
        """Check that all counts are those of what is unread."""
        async with self.database.snapshot() as connection:
            assert await miscounted(connection, self.people) == []


@pytest.fixture
async def group(database: Database, person: PersonMaker) -> Group:
    people = [(await person(name)).id for name in ("ada", "grace", "joan")]
    talk = new_id()
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO conversations (id) VALUES ($1)", talk)
        await connection.execute(
            "INSERT INTO participants (conversation_id, user_id) SELECT $1, unnest($2::uuid[])", talk, people
        )
    return Group(database, talk, people)


async def test_a_mark_that_moves_is_an_entry_for_all_participants(group: Group):
    ada, grace, joan = group.people
    sent = [await group.sends(author) for author in (ada, ada, joan, ada)]
    marked = await group.marks(grace, sent[2])
    assert (marked.conversation.read_seq, marked.conversation.unread_count) == (3, 1)
    assert marked.conversation == await group.seen_by(grace)
    appended = marked.appended
    assert appended is not None
    assert (appended.kind, appended.conversation_id) == (READ_MARK_MOVED, group.id)
    assert (appended.subject_id, appended.actor_id, appended.message) == (grace, grace, None)
    assert appended.positions == dict.fromkeys(group.people, 5)
    for reader in group.people:
        assert await group.marks_in(reader) == [(5, grace, grace)]
    await group.check()
    whole = await group.marks(grace)
    assert (whole.conversation.read_seq, whole.conversation.unread_count) == (4, 0)
    assert whole.conversation == await group.seen_by(grace)
    await group.check()


async def test_the_entries_of_a_mark_have_the_same_time_in_all_inboxes(group: Group):
    """Hints have one time for all recipients, and the tags of cursors are made of it."""
    message = await group.sends(group.people[0])
    slow = f"slow_{uuid4().hex}"
    async with group.database.transaction() as connection:
        await connection.execute(f"""
            CREATE SCHEMA {slow};
            CREATE FUNCTION {slow}.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
                SELECT pg_catalog.clock_timestamp() FROM pg_sleep(0.002)
            $$;
            SET LOCAL search_path = {slow}, pg_catalog, public;
        """)
        marked = await read_marks.mark_read(
            connection, group.id, group.people[1], up_to=message.id, whole=False, most_participants=32
        )
        rows = await connection.fetch(
            "SELECT user_id, created_at FROM inbox_entries WHERE kind = $1 AND conversation_id = $2",
            READ_MARK_MOVED,
            group.id,
        )
        await connection.execute(f"DROP SCHEMA {slow} CASCADE")
    assert isinstance(marked, Marked)
    assert marked.appended is not None
    assert {row["user_id"] for row in rows} == set(group.people)
    assert {row["created_at"] for row in rows} == {marked.appended.created_at}


async def test_a_mark_never_moves_back_and_a_mark_that_does_not_move_is_no_entry(group: Group):
    ada, grace, _ = group.people
    sent = [await group.sends(ada) for _ in range(3)]
    assert (await group.marks(grace, sent[1])).appended is not None
    for earlier in (sent[0], sent[1]):
        again = await group.marks(grace, earlier)
        assert again.appended is None
        assert again.conversation == await group.seen_by(grace)
        assert (again.conversation.read_seq, again.conversation.unread_count) == (2, 1)
    # The author has read them by sending them.
    assert (await group.marks(ada)).appended is None
    assert len(await group.marks_in(grace)) == 1
    await group.check()


@pytest.mark.parametrize(("most_participants", "told"), [(4, True), (3, True), (2, False), (0, False)])
async def test_only_the_reader_is_told_in_a_conversation_with_more_participants_than_allowed(
    group: Group, most_participants: int, told: bool
):
    ada, grace, joan = group.people
    await group.sends(ada)
    appended = (await group.marks(grace, most_participants=most_participants)).appended
    assert appended is not None
    assert set(appended.positions) == (set(group.people) if told else {grace})
    assert len(await group.marks_in(grace)) == 1
    assert len(await group.marks_in(joan)) == (1 if told else 0)
    assert (await group.seen_by(grace)).unread_count == 0
    await group.check()


async def test_only_participants_mark_and_only_messages_of_the_conversation(
    group: Group, person: PersonMaker
):
    ada, grace, joan = group.people
    await group.sends(ada)
    stranger = (await person("eve")).id
    async with group.database.transaction() as connection:
        other, _ = await conversations.open_pair(connection, ada, stranger)
        elsewhere = await inboxes.deliver(connection, other, ada, "hello")
        await connection.execute("DELETE FROM inboxes WHERE user_id = $1", joan)
    assert elsewhere is not None
    assert await group.tries_to_mark(stranger, None, whole=True) is NotMarked.NO_CONVERSATION
    # A removed user, whose token is still cached.
    assert await group.tries_to_mark(joan, None, whole=True) is NotMarked.NO_CONVERSATION
    for unknown in (elsewhere.message.id, uuid4(), None):
        assert await group.tries_to_mark(grace, unknown, whole=False) is NotMarked.NO_MESSAGE
    assert (await group.seen_by(grace)).unread_count == 1
    # The remaining participants get the event as if she were not a participant.
    appended = (await group.marks(grace)).appended
    assert appended is not None
    assert set(appended.positions) == {ada, grace}


async def test_deleted_messages_and_own_ones_are_not_counted_when_they_are_passed(group: Group):
    ada, grace, _ = group.people
    sent = [await group.sends(author) for author in (ada, ada, grace, ada, ada, ada)]
    await group.deletes(sent[3])
    assert (await group.seen_by(grace)).unread_count == 2
    marked = await group.marks(grace, sent[4])
    assert marked.conversation.unread_count == 1
    await group.check()
    await group.deletes(sent[5])
    assert (await group.seen_by(grace)).unread_count == 0
    # What is passed now is not unread, but the mark moves.
    moved = await group.marks(grace)
    assert moved.appended is not None
    assert (moved.conversation.read_seq, moved.conversation.unread_count) == (6, 0)
    await group.check()


async def test_a_mark_that_is_overtaken_is_repeated(group: Group):
    ada, grace, _ = group.people
    first = await group.sends(ada)
    async with group.database.transaction() as connection:
        # Holds the inboxes until the mark waits for them. The count is then the same, but of another message.
        assert await edits.lock(connection, ada, first.id)
        await edits.delete(connection, group.id, [first.id], actor=ada)
        await inboxes.deliver(connection, group.id, ada, "second")
        marking = asyncio.create_task(group.marks(grace, first))
        async with group.database.connection() as watching:
            await eventually_async(lambda: watching.fetchval(WAITING))
    marked = await marking
    assert (marked.conversation.read_seq, marked.conversation.unread_count) == (1, 1)
    assert len(await group.marks_in(grace)) == 1
    await group.check()


async def test_a_mark_that_has_been_overtaken_often_locks_the_inboxes_first(group: Group):
    ada, grace, _ = group.people
    await group.sends(ada)
    marked = await group.marks(grace, attempts=0)
    assert marked.appended is not None
    assert set(marked.appended.positions) == set(group.people)
    await group.sends(ada)
    alone = await group.marks(grace, most_participants=2, attempts=0)
    assert alone.appended is not None
    assert set(alone.appended.positions) == {grace}
    await group.check()


async def test_behind_a_pooler_it_does_so_in_the_transaction_that_every_statement_has(group: Group):
    ada, grace, _ = group.people
    await group.sends(ada)
    async with group.database.transaction() as connection:
        marked = await read_marks.mark_read(
            connection, group.id, grace, up_to=None, whole=True, most_participants=32, attempts=0
        )
    assert isinstance(marked, Marked)
    assert marked.conversation.read_seq == 1
    await group.check()


@pytest.mark.parametrize("attempts", [read_marks.ATTEMPTS, 1, 0])
async def test_marks_that_cross_with_everything_else_never_move_back_and_leave_exact_counts(
    group: Group, attempts: int
):
    """Several devices of everyone read while messages are sent, edited and deleted."""
    dice = Random(attempts)
    sent = [await group.sends(author) for author in group.people for _ in range(3)]
    highest = dict.fromkeys(group.people, 0)
    moved = dict.fromkeys(group.people, 0)

    async def act() -> None:
        what = dice.choice(["send", "delete", "edit", "mark", "mark", "mark", "whole"])
        member = dice.choice(group.people)
        if what == "send":
            sent.append(await group.sends(member))
        elif what == "mark":
            before = highest[member]
            marked = await group.marks(member, dice.choice(sent), attempts=attempts)
            # Answers may cross each other; each says what held after all answers that came before it began.
            assert marked.conversation.read_seq >= before
            highest[member] = max(highest[member], marked.conversation.read_seq)
            moved[member] += marked.appended is not None
        elif what == "whole":
            marked = await group.marks(member, attempts=attempts)
            moved[member] += marked.appended is not None
        else:
            message = dice.choice(sent)
            async with group.database.transaction() as connection:
                locked = await edits.lock(connection, message.author_id, message.id)
                assert locked is not None
                if what == "delete":
                    await edits.delete(connection, group.id, [message.id], actor=message.author_id)
                elif locked.message.deleted_at is None:
                    await edits.edit(connection, message.id, "edited", actor=message.author_id)

    async def act_often() -> None:
        for _ in range(30):
            await act()

    async with asyncio.timeout(120):
        await asyncio.gather(*(act_often() for _ in range(5)))
    await group.check()
    for reader in group.people:
        # Each mark that moved is one entry in every inbox.
        subjects = [subject for _, subject, _ in await group.marks_in(reader)]
        assert {each: subjects.count(each) for each in group.people} == moved
        assert (await group.seen_by(reader)).read_seq >= highest[reader]

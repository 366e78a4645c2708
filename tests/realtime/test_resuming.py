"""A stream that resumes is sent the page that decides whether it can, as far as that needs no waiting."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from db import conversations, inboxes
from db.engine import Database
from db.entries import MESSAGE_CREATED, InboxEntry, InboxPage, Place
from db.inbox_log import PageAsked
from db.records import User
from realtime import followed_inbox
from realtime.broadcaster import Broadcaster
from realtime.cursor_form import CursorForm
from realtime.cursors import InboxCursor
from realtime.follower import FRESH_SECONDS
from realtime.hints import hints_of
from realtime.sharing import Role, SharedEvent, SharedEvents, SharingStream
from realtime.wanted import Wanted
from resolvers import inbox
from resolvers.context import Context
from resolvers.errors import CursorExpired
from tests.conftest import Noted, PersonMaker


async def nothing() -> None:
    """Do nothing."""


class Stream(SharingStream):
    """A stream of positions, some of whose events have to wait."""

    def __init__(
        self, *, waits_at: Sequence[int] = (), on_begin: Callable[[], Awaitable[Any]] = nothing
    ) -> None:
        super().__init__(SharedEvents(), "the only one")
        self.waits_at = waits_at
        self.on_begin = on_begin
        self.on_wait: Callable[[], object] = list
        self.sent_at_once: list[int] = []
        self.followed: list[int] = []

    async def begin(self, cursor: str) -> None:
        await self.on_begin()

    def write_at_once(self, chunk: bytes) -> bool:
        self.sent_at_once.append(int(chunk))
        return True

    def execute_at_once(self, cursor: str, event: object) -> bytes | None:
        if event not in self.waits_at:
            return str(event).encode()
        self.on_wait()
        return None

    def reach(self, place: Place, cursor: str) -> None:
        self.hand_on(SharedEvent(place, b""))


class Talk:
    """Messages from one user to another, who follows the inbox over one connection to the database."""

    def __init__(self, database: Database, noted: Noted, author: User, reader: User) -> None:
        self._database = database
        self.own, self.statements = noted
        self._author = author
        self._reader = reader
        self.reader_id = reader.id
        self.broadcaster = Broadcaster()

    async def sends(self, count: int) -> None:
        for _ in range(count):
            async with self._database.transaction() as connection:
                conversation, _ = await conversations.open_pair(connection, self._author.id, self._reader.id)
                delivered = await inboxes.deliver(connection, conversation, self._author.id, "hello")
            assert delivered is not None
            self.broadcaster.publish(hints_of(delivered.appended))

    async def start(self) -> str:
        async with self._database.connection() as connection:
            epoch = (await inboxes.state(connection, self._reader.id)).epoch
        return InboxCursor(epoch, 0).encode(self._reader.id)

    async def follow(self, stream: Stream, after: str | None) -> None:
        """Follow the inbox until the stream has caught up."""
        context = Context(
            self.own, self.broadcaster, viewer=self._reader, stream=stream, cursor_form=CursorForm(tags=True)
        )
        wanted = Wanted(self._reader.id, frozenset({MESSAGE_CREATED}), include_mine=False)
        async with asyncio.timeout(20), context:
            events = await inbox.follow_inbox(context, after, wanted, position_of)
            async with aclosing(events):
                async for position in events:
                    stream.followed.append(position)
        assert stream.role is Role.LISTENING
        assert len(self.broadcaster.subscribers) == 1


def position_of(_cursor: str, entry: InboxEntry) -> int:
    return entry.position


@pytest.fixture
async def talk(database: Database, noted: Noted, person: PersonMaker) -> Talk:
    return Talk(database, noted, await person("ada"), await person("grace"))


async def test_what_was_missed_is_read_in_one_statement_and_sent_at_once(talk: Talk):
    await talk.sends(3)
    stream = Stream()
    await talk.follow(stream, await talk.start())
    assert (stream.sent_at_once, stream.followed, len(talk.statements)) == ([1, 2, 3], [], 1)
    await talk.sends(1)
    assert (stream.sent_at_once, len(talk.statements)) == ([1, 2, 3, 4], 1)


async def test_a_stream_without_a_cursor_begins_at_the_end_after_one_statement(talk: Talk):
    await talk.sends(2)
    stream = Stream()
    await talk.follow(stream, None)
    assert (stream.sent_at_once, stream.followed, len(talk.statements)) == ([], [], 1)
    await talk.sends(1)
    assert (stream.sent_at_once, stream.position) == ([3], 3)


async def test_an_event_that_has_to_wait_and_those_after_it_are_not_read_again(talk: Talk):
    await talk.sends(4)
    stream = Stream(waits_at=[3])
    await talk.follow(stream, await talk.start())
    assert (stream.sent_at_once, stream.followed, len(talk.statements)) == ([1, 2], [3, 4], 1)


async def test_what_is_left_of_a_page_that_is_no_longer_fresh_is_read_again(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
):
    clock = followed_inbox.monotonic
    await talk.sends(3)
    stream = Stream(waits_at=[2])
    stream.on_wait = lambda: monkeypatch.setattr(followed_inbox, "monotonic", lambda: clock() + FRESH_SECONDS)
    await talk.follow(stream, await talk.start())
    assert (stream.sent_at_once, stream.followed, len(talk.statements)) == ([1], [2, 3], 2)


async def test_a_page_with_more_after_it_is_sent_and_the_rest_is_read(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inbox, "PAGE_SIZE", 2)
    await talk.sends(3)
    stream = Stream()
    await talk.follow(stream, await talk.start())
    assert (stream.sent_at_once, stream.followed, len(talk.statements)) == ([1, 2], [3], 2)


async def test_what_arrives_while_a_stream_begins_comes_after_what_was_missed(talk: Talk):
    await talk.sends(2)

    async def send_more() -> None:
        await talk.sends(1)

    stream = Stream(on_begin=send_more)
    await talk.follow(stream, await talk.start())
    assert (stream.sent_at_once, stream.followed, len(talk.statements)) == ([1, 2], [3], 1)


async def test_a_page_that_is_no_longer_fresh_is_read_again(talk: Talk, monkeypatch: pytest.MonkeyPatch):
    """So that a message that was edited in the meantime is sent as it is."""
    await talk.sends(2)
    clock = followed_inbox.monotonic

    async def take_long() -> None:
        monkeypatch.setattr(followed_inbox, "monotonic", lambda: clock() + FRESH_SECONDS)

    stream = Stream(on_begin=take_long)
    await talk.follow(stream, await talk.start())
    assert (stream.sent_at_once, stream.followed, len(talk.statements)) == ([], [1, 2], 2)


async def test_a_page_of_a_server_that_has_been_replaced_is_read_again(
    talk: Talk, database: Database, monkeypatch: pytest.MonkeyPatch
):
    """It may have entries that the new one does not have."""
    await talk.sends(2)
    read = Context.inbox_page

    async def read_and_lose(self: Context, asked: PageAsked) -> InboxPage:
        page = await read(self, asked)
        async with database.transaction() as connection:
            await connection.execute(
                "DELETE FROM inbox_entries WHERE user_id = $1 AND position = 2", asked.user_id
            )
            await connection.execute("UPDATE inboxes SET last_position = 1 WHERE user_id = $1", asked.user_id)
        talk.broadcaster.subscribers.doubt()
        return page

    monkeypatch.setattr(Context, "inbox_page", read_and_lose)
    stream = Stream()
    await talk.follow(stream, await talk.start())
    assert (stream.sent_at_once, stream.followed, len(talk.statements)) == ([], [1], 2)


async def test_a_stream_that_cannot_resume_leaves_no_subscriber(talk: Talk):
    await talk.sends(1)
    cursor = InboxCursor.decode(await talk.start(), talk.reader_id)
    past_the_end = InboxCursor(cursor.epoch, 2).encode(talk.reader_id)
    with pytest.raises(CursorExpired):
        await talk.follow(Stream(), past_the_end)
    assert not len(talk.broadcaster.subscribers)

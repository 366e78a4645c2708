"""Marks that move are events for the reader's other devices, and for others where marks are shared."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from db import conversations, inboxes
from db.engine import Database
from db.entries import READ_MARK_MOVED
from db.records import Message, User
from realtime.broadcaster import Broadcaster
from realtime.subscribers import Subscriber
from resolvers.context import Context
from resolvers.conversations import participants_of
from resolvers.errors import UserError, UserErrorCode
from resolvers.read_marks import is_read_by_others, last_read_message, read_by, read_messages
from resolvers.rules import Rules
from tests.conftest import SignIn
from tests.support.people import Person, Stream

PersonMaker = Callable[[str], Awaitable[User]]

READ_MESSAGES = """
    mutation ($input: ReadMessagesInput!) {
        readMessages(input: $input) { conversation { id unreadCount } userErrors { code path } }
    }
"""
MOVED = """
    cursor occurredAt ... on ReadMarkMoved {
        conversation { id unreadCount } participant { user { username } joinedAt lastReadMessage { content } }
    }
"""
EVENTS = f"""
    subscription ($after: String, $includeMine: Boolean! = true) {{
        inboxEvents(after: $after, kinds: [READ_MARK_MOVED], includeMine: $includeMine) {{
            __typename {MOVED}
        }}
    }}
"""
PAGE = f"""
    query ($after: String!) {{
        inboxEvents(after: $after, kinds: [READ_MARK_MOVED]) {{ events {{ {MOVED} }} }}
        unread {{ conversations messages }}
    }}
"""


async def event(stream: Stream) -> dict[str, Any]:
    """Return the next event other than CaughtUp."""
    while True:
        answer = await stream.answer()
        assert "errors" not in answer, answer
        found = answer["data"]["inboxEvents"]
        if found["__typename"] != "CaughtUp":
            return found


async def reads(person: Person, conversation: str, up_to: str | None = None) -> int:
    """Mark messages as read, and return the unread count."""
    given = {"conversationId": conversation, "upToMessageId": up_to}
    payload = (await person.asks(READ_MESSAGES, input=given))["readMessages"]
    assert payload["userErrors"] == []
    return payload["conversation"]["unreadCount"]


async def test_a_mark_that_moves_is_an_event_for_the_readers_devices_and_the_other(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    sent = [(await ada.sends(content, to=conversation))["id"] for content in ("one", "two", "three")]
    start = await grace.inbox_cursor()
    async with grace.streaming(EVENTS) as own, ada.streaming(EVENTS) as hers:
        assert await reads(grace, conversation, sent[1]) == 1
        for stream, unread in ((own, 1), (hers, 0)):
            found = await event(stream)
            assert found["participant"]["lastReadMessage"] == {"content": "two"}
            assert found["conversation"] == {"id": conversation, "unreadCount": unread}
            assert found["participant"]["user"]["username"] == grace.username
            assert found["participant"]["joinedAt"] <= found["occurredAt"]
        # Reading them again is not an event: the next one is the rest.
        assert await reads(grace, conversation, sent[0]) == 1
        assert await reads(grace, conversation) == 0
        assert (await event(own))["conversation"]["unreadCount"] == 0
    page = await grace.asks(PAGE, after=start)
    [last] = page["inboxEvents"]["events"]
    assert last["conversation"] == {"id": conversation, "unreadCount": 0}
    assert page["unread"] == {"conversations": 0, "messages": 0}
    await ada.sends("four", to=conversation)
    async with grace.streaming(EVENTS, after=start, includeMine=False) as others:
        # A replay without the reader's own marks has only those of others.
        assert await reads(ada, conversation) == 0
        await grace.sends("five", to=conversation)
        assert await reads(ada, conversation) == 0
        assert (await event(others))["participant"]["user"]["username"] == ada.username


async def test_a_message_names_the_participants_who_have_read_it(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    one = (await ada.sends("one", to=conversation))["id"]
    two = (await ada.sends("two", to=conversation))["id"]
    document = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Message { %s } } }"

    async def readers(person: Person, read_by: str = "readBy") -> list[list[str]]:
        found = await person.asks(document % (read_by + " { username }"), ids=[one, two])
        return [[user["username"] for user in each["readBy"]] for each in found["nodes"]]

    assert await readers(ada) == [[], []]
    await reads(grace, conversation, one)
    for person in (ada, grace):
        assert await readers(person) == [[grace.username], []]
    # Sending moves the mark of the author.
    await grace.sends("three", to=conversation)
    assert await readers(ada, "readBy(first: 1)") == [[grace.username]] * 2
    for first in (0, 101):
        answer = await ada.answer(document % f"readBy(first: {first}) {{ id }}", ids=[one])
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@dataclass
class Devices:
    """A conversation between Ada and Grace, with two messages of Ada's, and a device of each that listens."""

    database: Database
    broadcaster: Broadcaster
    id: UUID
    ada: User
    grace: User
    sent: list[Message]
    hers: Subscriber
    own: Subscriber
    statements: list[None] = field(default_factory=list[None])

    def of_grace(self, most_participants: int = 32) -> Context:
        return self._of(self.grace, most_participants)

    def of_ada(self, most_participants: int = 32) -> Context:
        return self._of(self.ada, most_participants)

    def _of(self, viewer: User, most_participants: int) -> Context:
        rules = Rules(read_marks_max_participants=most_participants)
        return Context(
            self.database,
            self.broadcaster,
            viewer=viewer,
            rules=rules,
            count_statement=lambda: self.statements.append(None),
        )


@pytest.fixture
async def devices(database: Database, person: PersonMaker) -> AsyncGenerator[Devices]:
    ada, grace = await person("ada"), await person("grace")
    async with database.transaction() as connection:
        talk, _ = await conversations.open_pair(connection, ada.id, grace.id)
        delivered = [await inboxes.deliver(connection, talk, ada.id, content) for content in ("one", "two")]
    sent = [each.message for each in delivered if each is not None]
    broadcaster = Broadcaster()
    async with AsyncExitStack() as stack:
        hers = await stack.enter_async_context(broadcaster.subscribe(ada.id))
        own = await stack.enter_async_context(broadcaster.subscribe(grace.id))
        yield Devices(database, broadcaster, talk, ada, grace, sent, hers, own)


@pytest.mark.parametrize(("most_participants", "told"), [(2, True), (1, False), (0, False)])
async def test_marks_are_shared_up_to_the_setting(devices: Devices, most_participants: int, told: bool):
    async with devices.of_grace(most_participants) as context:
        marked = await read_messages(context, devices.id, None, whole=True)
    assert marked.unread_count == 0
    assert devices.own.is_woken
    async with asyncio.timeout(20):
        hint = await devices.own.next()
    assert hint is not None
    assert (hint.entry.kind, hint.entry.conversation_id) == (READ_MARK_MOVED, devices.id)
    assert (hint.entry.subject_id, hint.entry.actor_id) == (devices.grace.id, devices.grace.id)
    assert devices.hers.is_woken == told


async def test_marking_is_one_statement_and_publishes_nothing_if_the_mark_stays(devices: Devices):
    async with devices.of_grace() as context:
        await read_messages(context, devices.id, devices.sent[1].id, whole=False)
        assert len(devices.statements) == 1
        async with asyncio.timeout(20):
            await devices.own.next()
            await devices.hers.next()
        await read_messages(context, devices.id, devices.sent[0].id, whole=False)
        for up_to in (None, devices.id):
            with pytest.raises(UserError) as raised:
                await read_messages(context, devices.id, up_to, whole=False)
            assert (raised.value.code, raised.value.path) == (
                UserErrorCode.NOT_FOUND,
                ["input", "upToMessageId"],
            )
    assert not (devices.own.is_woken or devices.hers.is_woken)


@pytest.mark.parametrize(("most_participants", "shown"), [(2, True), (1, False), (0, False)])
async def test_who_has_read_what_is_shown_up_to_the_setting(
    devices: Devices, most_participants: int, shown: bool
):
    one, two = devices.sent
    async with devices.of_grace(most_participants) as context:
        assert [
            await last_read_message(context, each) for each in await participants_of(context, devices.id)
        ] == [
            two if shown else None,
            None,
        ]
        await read_messages(context, devices.id, one.id, whole=False)
        participants = await participants_of(context, devices.id)
        readers = [user.id for user in read_by(context, one, participants, 10)]
        assert readers == ([devices.grace.id] if shown else [])
        assert list(read_by(context, two, participants, 10)) == []
    async with devices.of_ada(most_participants) as context:
        participants = await participants_of(context, devices.id)
        assert [is_read_by_others(context, each, participants) for each in (one, two)] == [shown, False]
    async with devices.of_grace(most_participants) as context:
        # Her own mark is always shown to her.
        marks = [
            await last_read_message(context, each) for each in await participants_of(context, devices.id)
        ]
        assert marks == [two if shown else None, one]

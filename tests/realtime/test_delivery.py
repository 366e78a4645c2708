"""The messenger's promise: every message, once, in order, whenever and however a client listens."""

import asyncio
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from db.engine import Database
from db.tables import inboxes, sessions
from realtime.cursors import InboxCursor
from schema.node import NodeType
from tests.conftest import SignIn
from tests.support.people import StreamOver
from tests.support.tables import tables


async def test_john_and_jane_exchange_messages(signs_in: SignIn):
    """Each receives the other's messages as they are sent; missed ones arrive later, in order, once."""
    john, jane = await signs_in("john"), await signs_in("jane")
    found = await john.asks("query ($s: String!) { searchUsers(search: $s) { username } }", s=jane.username)
    assert found == {"searchUsers": [{"username": jane.username}]}
    conversation = await john.opens_conversation_with(jane)
    async with jane.listening() as at_jane:
        await john.sends("Hello Jane", to=conversation)
        heard = await at_jane.message()
        assert heard["content"] == "Hello Jane"
        assert heard["author"] == {"username": john.username}
        assert heard["conversation"] == {"id": conversation, "unreadCount": 1}
    async with john.listening() as at_john:
        await jane.sends("Hello John", to=conversation)
        assert await at_john.contents(1) == ["Hello John"]
        asleep_since = at_john.last_event_id
    for number in range(10):
        await jane.sends(f"Are you there? {number}", to=conversation)
    async with john.listening(after=asleep_since) as at_john:
        assert await at_john.contents(10) == [f"Are you there? {number}" for number in range(10)]
        await jane.sends("There you are", to=conversation)
        assert await at_john.contents(1) == ["There you are"]


async def test_the_viewer_s_own_messages_arrive_only_on_request(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    async with ada.listening() as here, ada.listening(include_mine=True) as on_the_phone:
        await ada.sends("mine", to=conversation)
        await grace.sends("yours", to=conversation)
        assert await here.contents(1) == ["yours"]
        first = await on_the_phone.message()
        assert (first["content"], first["mine"]) == ("mine", True)
        assert await on_the_phone.contents(1) == ["yours"]


async def test_nothing_is_missed_between_inbox_cursor_and_subscribing(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    await ada.sends("before", to=conversation)
    cursor = await grace.inbox_cursor()
    await ada.sends("between", to=conversation)
    async with grace.listening(after=cursor) as heard:
        await ada.sends("after", to=conversation)
        assert await heard.contents(2) == ["between", "after"]


async def test_messages_sent_while_subscribing_arrive_once_and_in_order(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    cursor = await grace.inbox_cursor()

    async def sends_all() -> None:
        for number in range(60):
            await ada.sends(str(number), to=conversation)

    sending = asyncio.create_task(sends_all())
    expected = [str(number) for number in range(60)]
    heard: list[str] = []
    while len(heard) < 60:
        async with grace.listening(after=cursor) as stream:
            heard += await stream.contents(min(7, 60 - len(heard)))
            cursor = stream.last_event_id
    await sending
    assert heard == expected


async def test_a_long_backlog_is_read_from_the_log_in_pages(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    cursor = await grace.inbox_cursor()
    for number in range(250):
        await ada.sends(str(number), to=conversation)
    async with grace.listening(after=cursor) as heard:
        assert await heard.contents(250) == [str(number) for number in range(250)]


async def test_a_stream_starts_with_its_cursor_and_last_event_id_resumes_from_it(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    cursor = await grace.inbox_cursor()
    async with grace.listening() as stream:
        async with asyncio.timeout(10):
            start = await anext(stream.events)
        assert (start.id, start.data) == (cursor, "")
    await ada.sends("while away", to=conversation)
    async with grace.listening(last_event_id=start.id) as heard:
        assert await heard.contents(1) == ["while away"]
        resumed = heard.last_event_id
    # The header is newer than the variables, which a reconnecting client sends unchanged.
    await ada.sends("later", to=conversation)
    async with grace.listening(after=cursor, last_event_id=resumed) as heard:
        assert await heard.contents(1) == ["later"]


async def test_a_foreign_cursor_is_rejected_as_invalid(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    for cursor in ("", "nonsense", await grace.inbox_cursor()):
        async with ada.listening(after=cursor) as stream:
            answer = await stream.answer()
            assert _code(answer) == "CURSOR_INVALID"
            assert answer["errors"][0]["message"].startswith("`after` is not a cursor of your inbox.")
            assert (await stream.event()).event == "complete"


async def test_a_rejected_last_event_id_is_not_blamed_on_the_variables(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    async with ada.listening(
        after=await ada.inbox_cursor(), last_event_id=await grace.inbox_cursor()
    ) as stream:
        [error] = (await stream.answer())["errors"]
    assert error["message"].startswith("`Last-Event-ID` is not a cursor of your inbox.")


async def test_a_cursor_at_an_unavailable_position_is_rejected_as_expired(
    signs_in: SignIn, database: Database
):
    """Trimmed, ahead of the inbox, or from the database before it was restored from a backup."""
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    trimmed = await grace.inbox_cursor()
    for number in range(3):
        await ada.sends(str(number), to=conversation)
    grace_id = NodeType.USER.decode((await grace.asks("{ viewer { id } }"))["viewer"]["id"])
    assert grace_id is not None
    async with tables(database) as connection:
        await connection.execute(update(inboxes).where(inboxes.c.user_id == grace_id).values(trimmed_to=2))
    epoch = InboxCursor.decode(trimmed, grace_id).epoch
    ahead, of_another_life = InboxCursor(epoch, 4), InboxCursor(uuid4(), 2)
    for cursor in (trimmed, ahead.encode(grace_id), of_another_life.encode(grace_id)):
        async with grace.listening(after=cursor) as stream:
            answer = await stream.answer()
            assert _code(answer) == "CURSOR_EXPIRED"
            assert "inboxCursor" in answer["errors"][0]["message"]
            assert (await stream.event()).event == "complete"
    async with grace.listening(after=await grace.inbox_cursor()) as heard:
        await ada.sends("goes on", to=conversation)
        assert await heard.contents(1) == ["goes on"]


async def test_an_idempotency_key_creates_one_message_however_often_it_is_sent(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    key = str(uuid4())
    async with grace.listening() as heard:
        sent = await asyncio.gather(*(ada.sends("once", to=conversation, key=key) for _ in range(20)))
        assert len({message["id"] for message in sent}) == 1
        await ada.sends("twice", to=conversation, key=str(uuid4()))
        assert await heard.contents(2) == ["once", "twice"]


async def test_a_stream_ends_with_its_session(signs_in: SignIn):
    ada = await signs_in("ada")
    async with ada.listening() as stream:
        response = await ada.http.post("/auth/logout", headers=ada.headers)
        assert response.status_code == 204
        assert _code(await stream.answer()) == "UNAUTHENTICATED"
        assert (await stream.event()).event == "complete"
        with pytest.raises(StreamOver):
            await stream.event()


async def test_a_stream_ends_when_its_session_expires_or_is_ended_elsewhere(
    signs_in: SignIn, database: Database
):
    ada = await signs_in("ada")
    async with ada.listening() as stream:
        token_hash = sha256(ada.token.encode()).hexdigest()
        async with tables(database) as connection:
            statement = update(sessions).where(sessions.c.token_hash == token_hash)
            await connection.execute(statement.values(expires_at=datetime.now(UTC)))
        assert _code(await stream.answer()) == "UNAUTHENTICATED"
        assert (await stream.event()).event == "complete"


async def test_a_refreshed_session_keeps_its_streams(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    async with grace.listening() as heard:
        assert (await grace.http.post("/auth/refresh", headers=grace.headers)).status_code == 200
        grace.http.cookies.clear()
        await ada.sends("still there?", to=conversation)
        assert await heard.contents(1) == ["still there?"]


async def test_an_idle_stream_sends_heartbeats(signs_in: SignIn):
    ada = await signs_in("ada")
    async with ada.streaming("subscription { messageCreated { cursor } }") as stream, asyncio.timeout(10):
        heartbeat = b":\n\n"
        async for chunk in stream.response.aiter_raw():
            if heartbeat in chunk:
                break


def _code(answer: dict[str, Any]) -> str:
    return answer["errors"][0]["extensions"]["code"]

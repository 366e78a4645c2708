"""Events of every kind, live, after a pause, and in pages."""

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest

from db.engine import Database
from schema.node import NodeType
from tests.conftest import SignIn
from tests.server.endpoints.test_single_connection import Reserved, comes
from tests.support.changes import deletes, edits, renames
from tests.support.people import Person, Stream

FIELDS = """
    __typename cursor occurredAt
    ... on MessageCreated { message { id content } }
    ... on MessageUpdated { message { id content } }
    ... on MessageDeleted { message { id content } }
    ... on UserUpdated { user { username } }
"""
EVENTS = f"""
    subscription ($after: String, $kinds: [InboxEventKind!], $includeMine: Boolean! = true) {{
        inboxEvents(after: $after, kinds: $kinds, includeMine: $includeMine) {{ {FIELDS} }}
    }}
"""
PAGE = f"""
    query ($after: String!, $first: Int! = 100, $kinds: [InboxEventKind!]) {{
        inboxEvents(after: $after, first: $first, kinds: $kinds) {{ cursor hasMore events {{ {FIELDS} }} }}
    }}
"""


async def event(stream: Stream) -> dict[str, Any]:
    answer = await stream.answer()
    assert "errors" not in answer, answer
    found = answer["data"]["inboxEvents"]
    assert found["cursor"] == stream.last_event_id
    return found


def summary(found: dict[str, Any]) -> tuple[str, str | None]:
    """Return the type, and the content of the message or the name of the user."""
    subject = found.get("message", {}).get("content", found.get("user", {}).get("username"))
    return found["__typename"], subject


async def summaries(stream: Stream, count: int) -> list[tuple[str, str | None]]:
    return [summary(await event(stream)) for _ in range(count)]


def key(node_type: NodeType, node_id: str) -> UUID:
    found = node_type.decode(node_id)
    assert found is not None
    return found


async def id_of(person: Person) -> UUID:
    return key(NodeType.USER, (await person.asks("{ viewer { id } }"))["viewer"]["id"])


async def everything_happens(database: Database, ada: Person, grace: Person, conversation: str) -> str:
    """Send two messages, edit one twice, delete the other, and rename the author; return the new name."""
    one, two = [
        key(NodeType.MESSAGE, (await ada.sends(content, to=conversation))["id"]) for content in ("one", "two")
    ]
    await edits(database, one, "one, edited")
    await edits(database, one, "one, edited twice")
    await deletes(database, two)
    name = f"{ada.username}-2"
    await renames(database, await id_of(ada), name, told=[await id_of(ada), await id_of(grace)])
    return name


def expected(name: str) -> list[tuple[str, str | None]]:
    return [
        ("MessageCreated", "one, edited twice"),
        ("MessageCreated", ""),
        ("MessageUpdated", "one, edited twice"),
        ("MessageDeleted", ""),
        ("UserUpdated", name),
        ("CaughtUp", None),
    ]


async def test_a_replay_has_every_kind_as_it_is_now_and_then_says_that_it_is_over(
    database: Database, signs_in: SignIn
):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    start = await grace.inbox_cursor()
    name = await everything_happens(database, ada, grace, conversation)
    async with grace.streaming(EVENTS, after=start) as stream:
        assert await summaries(stream, 6) == expected(name)
        end = stream.last_event_id
        await ada.sends("live", to=conversation)
        assert await summaries(stream, 1) == [("MessageCreated", "live")]
    async with grace.streaming(EVENTS, headers={"last-event-id": end}, after=start) as stream:
        assert await summaries(stream, 2) == [("MessageCreated", "live"), ("CaughtUp", None)]


async def test_single_connection_mode_has_the_same_events(database: Database, signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    start = await grace.inbox_cursor()
    name = await everything_happens(database, ada, grace, conversation)
    reserved = await Reserved.by(grace, (grace.http, grace.http))
    async with reserved.opened() as stream:
        await reserved.runs(EVENTS, "all", after=start)
        heard: list[tuple[str, str | None]] = []
        for _ in range(6):
            operation, answer = await comes(stream)
            assert (operation, answer is None) == ("all", False)
            assert answer is not None
            heard.append(summary(answer["data"]["inboxEvents"]))
    assert heard == expected(name)


async def test_multipart_subscriptions_have_the_same_events(database: Database, signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    start = await grace.inbox_cursor()
    name = await everything_happens(database, ada, grace, conversation)
    headers = {
        **grace.headers,
        "accept": "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json",
    }
    body = {"query": EVENTS, "variables": {"after": start}}
    heard: list[tuple[str, str | None]] = []
    async with (
        asyncio.timeout(20),
        grace.http.stream("POST", "/graphql", json=body, headers=headers) as parts,
    ):
        async for line in parts.aiter_lines():
            if line.startswith('{"payload"'):
                heard.append(summary(json.loads(line)["payload"]["data"]["inboxEvents"]))
            if len(heard) == 6:
                break
    assert heard == expected(name)


async def test_a_page_has_the_same_events(database: Database, signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    start = await grace.inbox_cursor()
    name = await everything_happens(database, ada, grace, conversation)
    whole = (await grace.asks(PAGE, after=start))["inboxEvents"]
    assert [summary(found) for found in whole["events"]] == expected(name)[:-1]
    assert (whole["hasMore"], whole["cursor"]) == (False, whole["events"][-1]["cursor"])
    heard: list[tuple[str, str | None]] = []
    cursor, has_more = start, True
    while has_more:
        page = (await grace.asks(PAGE, after=cursor, first=2))["inboxEvents"]
        assert len(page["events"]) <= 2
        heard += [summary(found) for found in page["events"]]
        cursor, has_more = page["cursor"], page["hasMore"]
    # Two that are on different pages are not merged.
    assert heard == [
        *expected(name)[:2],
        ("MessageUpdated", "one, edited twice"),
        *expected(name)[3:-1],
    ]
    assert cursor == whole["cursor"]
    some = (await grace.asks(PAGE, after=start, kinds=["USER_UPDATED"]))["inboxEvents"]
    assert [summary(found) for found in some["events"]] == [("UserUpdated", name)]
    assert some["cursor"] == whole["cursor"]
    async with grace.streaming(EVENTS, after=some["cursor"]) as stream:
        assert await summaries(stream, 1) == [("CaughtUp", None)]


async def test_without_anything_to_replay_a_stream_says_so_at_once(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    cursor = await grace.inbox_cursor()
    for resumes in (False, True):
        after = cursor if resumes else None
        async with grace.streaming(EVENTS, after=after) as first, grace.streaming(EVENTS) as second:
            for stream in (first, second):
                found = await event(stream)
                assert (summary(found), found["cursor"]) == (("CaughtUp", None), cursor)
            await ada.sends("hello", to=conversation)
            for stream in (first, second):
                assert await summaries(stream, 1) == [("MessageCreated", "hello")]
            cursor = await grace.inbox_cursor()


@pytest.mark.parametrize("streams", [1, 3])
async def test_a_stream_is_told_within_seconds_that_the_inbox_has_passed_what_it_does_not_want(
    signs_in: SignIn, streams: int
):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    async with (
        ada.streaming(EVENTS, includeMine=False) as first,
        ada.streaming(EVENTS, kinds=["USER_UPDATED"]) as second,
        # It cannot be shared at once, because the document has a directive that is not planned.
        ada.streaming(
            EVENTS.replace("cursor occ", "cursor ... @include(if: true) { occ", 1).replace(
                "occurredAt", "occurredAt }", 1
            ),
            includeMine=False,
        ) as third,
    ):
        opened = (first, second, third)[:streams]
        for stream in opened:
            assert await summaries(stream, 1) == [("CaughtUp", None)]
        for content in ("one", "two"):
            await ada.sends(content, to=conversation)
        end = await ada.inbox_cursor()
        async with asyncio.timeout(10):
            for stream in opened:
                while True:
                    found = await event(stream)
                    assert found["__typename"] == "CaughtUp"
                    if found["cursor"] == end:
                        break


@pytest.mark.parametrize("kinds", [[], ["MESSAGE_CREATED"] * 101])
async def test_no_kinds_and_too_many_are_rejected(signs_in: SignIn, kinds: list[str]):
    ada = await signs_in("ada")
    cursor = await ada.inbox_cursor()
    async with ada.streaming(EVENTS, kinds=kinds) as stream:
        [error] = (await stream.answer())["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
    [error] = (await ada.answer(PAGE, after=cursor, kinds=kinds))["errors"]
    assert (error["extensions"]["code"], error["path"]) == ("BAD_USER_INPUT", ["inboxEvents"])


@pytest.mark.parametrize("first", [0, 101])
async def test_a_page_has_1_to_100_events(signs_in: SignIn, first: int):
    ada = await signs_in("ada")
    [error] = (await ada.answer(PAGE, after=await ada.inbox_cursor(), first=first))["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_badge_shows_the_unread_conversations_and_messages(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    for content in ("one", "two"):
        await ada.sends(content, to=conversation)
    badge = "{ unread { conversations messages } }"
    assert await grace.asks(badge) == {"unread": {"conversations": 1, "messages": 2}}
    assert await ada.asks(badge) == {"unread": {"conversations": 0, "messages": 0}}


async def test_the_events_of_messages_created_are_as_before(signs_in: SignIn, database: Database):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    start = await grace.inbox_cursor()
    name = await everything_happens(database, ada, grace, conversation)
    await ada.sends("three", to=conversation)
    assert name
    document = (
        "subscription ($after: String) { messageCreated(after: $after) { cursor message { content } } }"
    )
    async with grace.streaming(document, after=start) as stream:
        for content in ("one, edited twice", "", "three"):
            found = await stream.event()
            data = {"messageCreated": {"cursor": found.id, "message": {"content": content}}}
            assert (found.event, found.data) == ("next", json.dumps({"data": data}, separators=(",", ":")))
        await ada.sends("four", to=conversation)
        assert (await stream.message())["content"] == "four"

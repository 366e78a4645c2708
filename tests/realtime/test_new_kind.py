"""A new kind of event needs a number, a rule, a type and a line in the registry, and nothing else."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import strawberry
from sqlalchemy import text

from db import conversations
from db.appending import appending, entries_of
from db.engine import Database
from db.entries import Appended, InboxEntry, Place
from db.records import User
from db.statements import Statement
from execution.api import Api
from realtime import wire
from realtime.broadcaster import Broadcaster
from realtime.cursor_form import CursorForm
from realtime.followed_inbox import FollowedInbox
from realtime.hints import Hint, hints_of
from realtime.subscribers import Subscribers
from resolvers.context import Context
from schema.inbox import EVENTS
from schema.inbox_events import CURSOR, InboxEvent
from schema.info import Info
from schema.node import NodeType
from tests.conftest import PersonMaker

# 1. A number that no other kind has.
CONVERSATION_STARRED = 1001

# 2. The rule: everybody in the conversation is told who has starred it.
_STAR = Statement(
    text(f"""
    WITH arriving AS (
        SELECT user_id, 1 AS nth, conversation_id, CAST(clock_timestamp() AS timestamptz(3)) AS created_at
        FROM participants WHERE conversation_id = :conversation_id
    ),
    {appending(entries_of(CONVERSATION_STARRED, subject="conversation_id", actor=":actor"))}
    SELECT user_id, position, created_at FROM arrived
""")
)


async def star(context: Context, conversation_id: UUID) -> None:
    viewer = context.require_viewer()
    async with context.connection() as connection:
        rows = await _STAR.fetch(connection, conversation_id=conversation_id, actor=viewer.id)
    positions = {row["user_id"]: row["position"] for row in rows}
    appended = Appended(
        CONVERSATION_STARRED,
        conversation_id,
        conversation_id,
        viewer.id,
        rows[0]["created_at"],
        positions,
    )
    context.broadcaster.publish(hints_of(appended))


# 3. The type, with what it reads when it is delivered.
@strawberry.type(description="A conversation was starred.")
class ConversationStarred(InboxEvent):
    cursor: str = strawberry.field(  # pyright: ignore[reportIncompatibleVariableOverride]  # never written
        description=CURSOR
    )
    entry: strawberry.Private[InboxEntry]

    @classmethod
    def of(cls, cursor: str, entry: InboxEntry) -> "ConversationStarred":
        return cls(cursor=cursor, occurred_at=entry.created_at, entry=entry)

    @strawberry.field(description="ID of the conversation.")
    def conversation_id(self) -> strawberry.ID:
        return strawberry.ID(NodeType.CONVERSATION.encode(self.entry.subject_id))

    @strawberry.field(description="How many users take part in it.")
    async def participants(self, info: Info) -> int:
        return len(await info.context.loaders.participants.load(self.entry.subject_id))


# 4. The line in the registry.
@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setitem(EVENTS, CONVERSATION_STARRED, ConversationStarred)
    return Api()


FIELDS = "__typename cursor ... on ConversationStarred { conversationId participants }"
LIVE = f"subscription ($after: String) {{ inboxEvents(after: $after) {{ {FIELDS} }} }}"
PAGE = f"query ($after: String!) {{ inboxEvents(after: $after) {{ cursor hasMore events {{ {FIELDS} }} }} }}"


class OtherProcess:
    """Relays hints to the subscribers of another process, in the form in which they are sent."""

    def __init__(self, subscribers: Subscribers) -> None:
        self._subscribers = subscribers

    def send(self, hints: Sequence[Hint]) -> None:
        for hint in hints:
            wire.offer(wire.encode(hint), self._subscribers)

    def wake(self, key: UUID) -> None:
        self._subscribers.wake(key)

    async def receive(self, user_id: UUID) -> None:
        """Receive everything."""

    def ignore(self, user_id: UUID) -> None:
        """Receive everything."""


class Alone:
    """A stream that shares nothing."""

    def __init__(self) -> None:
        self.knows_caught_up = False

    async def begin(self, cursor: str) -> None:
        """Begin."""

    def resume_at_once(self, inbox: FollowedInbox) -> bool:
        return False

    def reach(self, place: Place, cursor: str) -> None:
        """Send nothing."""

    def caught_up(self, inbox: FollowedInbox) -> bool:
        return False

    @property
    def led_inbox(self) -> None:
        return


@asynccontextmanager
async def streaming(
    api: Api,
    database: Database,
    broadcaster: Broadcaster,
    viewer: User,
    *,
    after: str | None = None,
    document: str = LIVE,
) -> AsyncGenerator[AsyncGenerator[Any]]:
    operation = await api.operation(document, None, {"after": after}, "request")
    async with (
        Context(
            database, broadcaster, viewer=viewer, stream=Alone(), cursor_form=CursorForm(tags=True)
        ) as context,
        aclosing(api.stream(operation, context)) as answers,
    ):

        async def events() -> AsyncGenerator[Any]:
            async for answer in answers:
                found: Any = answer
                assert "errors" not in found, found
                await context.refresh()
                yield found["data"]["inboxEvents"]

        async with aclosing(events()) as each:
            yield each


async def test_a_new_kind_is_delivered_live_to_every_process_and_in_replays_and_pages(
    api: Api, database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    async with database.transaction() as connection:
        conversation, _ = await conversations.open_pair(connection, ada.id, grace.id)
    there = Broadcaster()
    here = Broadcaster(relay=OtherProcess(there.subscribers))
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        streams = [
            await stack.enter_async_context(streaming(api, database, broadcaster, viewer))
            for broadcaster in (here, there)
            for viewer in (ada, grace)
        ]
        starts = [await anext(stream) for stream in streams]
        assert {start["__typename"] for start in starts} == {"CaughtUp"}
        async with Context(database, here, viewer=ada) as context:
            await star(context, conversation)
        heard = [await anext(stream) for stream in streams]
        for event in heard:
            assert (event["__typename"], event["participants"]) == ("ConversationStarred", 2)
            assert event["conversationId"] == NodeType.CONVERSATION.encode(conversation)
        cursor = starts[1]["cursor"]
        replay = await stack.enter_async_context(streaming(api, database, here, grace, after=cursor))
        assert await anext(replay) == heard[1]
        assert (await anext(replay))["cursor"] == heard[1]["cursor"]
        operation = await api.operation(PAGE, None, {"after": cursor}, "request")
        async with Context(database, here, viewer=grace, cursor_form=CursorForm(tags=True)) as context:
            answer: Any = await api.execute(operation, context)
        assert answer["data"]["inboxEvents"] == {
            "cursor": heard[1]["cursor"],
            "hasMore": False,
            "events": [heard[1]],
        }


async def test_a_process_that_does_not_know_a_kind_passes_it(database: Database, person: PersonMaker):
    ada, grace = await person("ada"), await person("grace")
    async with database.transaction() as connection:
        conversation, _ = await conversations.open_pair(connection, ada.id, grace.id)
    broadcaster = Broadcaster()
    document = "subscription { inboxEvents { __typename cursor } }"
    async with (
        streaming(Api(), database, broadcaster, grace, document=document) as stream,
        asyncio.timeout(20),
    ):
        start = await anext(stream)
        async with Context(database, broadcaster, viewer=ada) as context:
            await star(context, conversation)
        passed = await anext(stream)
        assert (start["__typename"], passed["__typename"]) == ("CaughtUp", "CaughtUp")
        assert passed["cursor"] != start["cursor"]

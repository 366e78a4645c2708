"""Devices of users: a cache, and an inbox that is followed by a stream or in pages."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from db.engine import Database
from realtime.cursors import InboxCursor
from schema.node import NodeType
from tests.acceptance.cache import Cache, differences
from tests.acceptance.documents import CONVERSATION, EVENTS, PAGE, SNAPSHOT
from tests.support.people import Person, Stream

CONVERSATIONS = 4
MESSAGES = 8
# What is fetched in the end has everything.
MOST_CONVERSATIONS = 10
MOST_MESSAGES = 40

_ENTRIES = """
    SELECT position, kind, conversation_id, coalesce(message_id, subject_id) AS subject_id
    FROM inbox_entries WHERE user_id = $1 AND position > $2 ORDER BY position
"""


@dataclass
class Device:
    """A client of a user. It asks for nothing but events after it has been started."""

    name: str
    person: Person = field(repr=False)
    cache: Cache = field(repr=False)
    start: str = field(repr=False)
    """The cursor of what was fetched first."""
    heard: list[int] = field(default_factory=list[int], repr=False)
    """The positions of the entries whose events were received, in order."""
    stream: Stream | None = field(default=None, repr=False)
    _connection: AsyncExitStack = field(default_factory=AsyncExitStack, repr=False)

    @classmethod
    async def started(
        cls, name: str, person: Person, *, conversations: int = CONVERSATIONS, messages: int = MESSAGES
    ) -> "Device":
        """Return a device that has fetched what it shows, with these sizes of pages."""
        fetched = await person.asks(SNAPSHOT, first=conversations, last=messages)
        return cls(name, person, Cache.of(fetched), fetched["inboxCursor"])

    def like_this(self, name: str) -> "Device":
        """Return another device that has fetched the same."""
        return replace(self, name=name, cache=deepcopy(self.cache), heard=[], _connection=AsyncExitStack())

    async def opens(self, conversation: str) -> None:
        """Fetch a conversation that is not in the list, and show it."""
        self.cache.load(await self._conversation(conversation, MESSAGES))

    async def connects(self) -> None:
        """Open a stream after the last event; nothing if one is open."""
        if self.stream is None:
            opened = self.person.streaming(EVENTS, after=self.cache.cursor)
            self.stream = await self._connection.enter_async_context(opened)

    async def disconnects(self) -> None:
        """Lose the stream, with the events that have been sent on it and not been read."""
        self.stream = None
        await self._connection.aclose()

    async def hears(self, at_most: int | None = None) -> None:
        """Read events until the end of the inbox as it is now, or fewer."""
        end = self._position(await self.person.inbox_cursor())
        assert self.stream is not None
        heard = 0
        while self._position(self.cache.cursor) < end and heard != at_most:
            self._apply(_event(await self.stream.answer()))
            assert self.cache.cursor == self.stream.last_event_id
            heard += 1

    async def pages(self, first: int) -> None:
        """Read events to the end of the inbox by the query, at most `first` at a time."""
        has_more = True
        while has_more:
            page = (await self.person.asks(PAGE, after=self.cache.cursor, first=first))["inboxEvents"]
            for event in page["events"]:
                self._apply(event)
            self.cache.cursor, has_more = page["cursor"], page["hasMore"]

    def _apply(self, event: dict[str, Any]) -> None:
        before = self._position(self.cache.cursor)
        self.cache.apply(event)
        position = self._position(self.cache.cursor)
        if event["__typename"] == "CaughtUp":
            assert position >= before
        else:
            assert position > before
            self.heard.append(position)

    async def missed(self, database: Database) -> list[dict[str, Any]]:
        """Return the entries since the start that were neither received nor merged into a later one."""
        async with database.connection() as connection:
            found = await connection.fetch(_ENTRIES, self.user_id, self._position(self.start))
        rows = [dict(row) for row in found]
        last_heard = {_subject(row): row["position"] for row in rows if row["position"] in set(self.heard)}
        return [row for row in rows if last_heard.get(_subject(row), 0) < row["position"]]

    async def fetched(self) -> Cache:
        """Return what the user would fetch now, with everything that the device shows."""
        fresh = Cache.of(await self.person.asks(SNAPSHOT, first=MOST_CONVERSATIONS, last=MOST_MESSAGES))
        for conversation in self.cache.loaded:
            if conversation not in fresh.loaded:
                fresh.load(await self._conversation(conversation, MOST_MESSAGES))
        return fresh

    def differences_from(self, fresh: Cache) -> list[str]:
        """Return how what is shown differs from what has just been fetched."""
        found = differences(self.cache.shown(), fresh.shown(like=self.cache))
        return [f"{self.name}: {line}" for line in found]

    async def _conversation(self, conversation: str, messages: int) -> dict[str, Any]:
        found = (await self.person.asks(CONVERSATION, id=conversation, last=messages))["conversation"]
        assert found is not None
        return found

    @property
    def user_id(self) -> UUID:
        """The user, in the database."""
        user_id = NodeType.USER.decode(self.cache.viewer)
        assert user_id is not None
        return user_id

    def _position(self, cursor: str) -> int:
        return InboxCursor.decode(cursor, self.user_id).position


def _subject(row: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what an entry is about. Entries about the same may be merged into the last one."""
    return row["kind"], row["conversation_id"], row["subject_id"]


def _event(answer: dict[str, Any]) -> dict[str, Any]:
    assert "errors" not in answer, answer
    return answer["data"]["inboxEvents"]

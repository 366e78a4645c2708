"""The floors below the API: the SQL alone, through asyncpg, on as many connections as a server uses."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from bench import statements
from bench.measuring import Measured, Span, Tally, rate_of
from bench.population import CONTENT, Pair, Person

_CONNECTIONS = 10

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Once = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Sql(ABC):
    """The common part of all SQL floors."""

    url: str
    pids: Mapping[str, int]
    callers: int
    span: Span

    async def run(self) -> Measured:
        """Run for one span and return what was measured."""
        connections = [await asyncpg.connect(self.url) for _ in range(min(self.callers, _CONNECTIONS))]
        tally = Tally()
        try:
            async with asyncio.TaskGroup() as group:
                for number, connection in enumerate(connections):
                    group.create_task(_repeat(await self.prepare(connection, number), tally))
                return await rate_of(tally, self.span, self.pids)
        finally:
            for connection in connections:
                await connection.close()

    @abstractmethod
    async def prepare(self, connection: Connection, number: int) -> Once:
        """Prepare statements on the connection, and return the function that is called repeatedly."""


async def _repeat(once: Once, tally: Tally) -> None:
    while not tally.over:
        await once()
        tally.count += 1


@dataclass(frozen=True, slots=True)
class DeliverSql(Sql):
    """Stores messages and appends them to inboxes, as createMessage does; one conversation per caller."""

    pairs: Sequence[Pair]

    async def prepare(self, connection: Connection, number: int) -> Once:
        """Return a function that stores one message."""
        store = await connection.prepare(statements.DELIVER)
        pair = self.pairs[number]
        return lambda: store.fetch(pair.conversation_id, pair.one.user_id, uuid7(), CONTENT)


@dataclass(frozen=True, slots=True)
class ConversationsSql(Sql):
    """Reads a page of conversations with the other participants and the last messages."""

    viewer: Person
    size: int

    async def prepare(self, connection: Connection, number: int) -> Once:
        """Return a function that reads one page."""
        recent = await connection.prepare(statements.RECENT_CONVERSATIONS)
        others = await connection.prepare(statements.OTHERS_IN)
        last_messages = await connection.prepare(statements.LAST_MESSAGES)

        async def read() -> None:
            page = (await recent.fetch(self.viewer.user_id, self.size + 1))[: self.size]
            ids = _column(page, "id")
            await others.fetch(self.viewer.user_id, ids)
            await last_messages.fetch(ids, _column(page, "last_seq"))

        return read


@dataclass(frozen=True, slots=True)
class MessagesSql(Sql):
    """Reads a conversation and a page of its messages with their authors."""

    pair: Pair
    size: int

    async def prepare(self, connection: Connection, number: int) -> Once:
        """Return a function that reads one page."""
        conversations = await connection.prepare(statements.CONVERSATIONS_BY_ID)
        messages = await connection.prepare(statements.NEWEST_MESSAGES)
        users = await connection.prepare(statements.USERS_BY_ID)
        conversation_id: UUID = self.pair.conversation_id

        async def read() -> None:
            await conversations.fetch(self.pair.other.user_id, [conversation_id])
            page = await messages.fetch(conversation_id, self.size + 1)
            await users.fetch(list(set(_column(page, "author_id"))))

        return read


def _column(rows: Sequence[asyncpg.Record], name: str) -> list[Any]:
    return [row[name] for row in rows]

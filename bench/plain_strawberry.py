"""A peer: the measured part of the messenger's API in plain Strawberry, built as its documentation says.

It uses Strawberry's ASGI application on uvicorn, its data loaders, its caches of parsed and validated
documents, and its Server-Sent Events. createMessage is an ordinary transaction without an inbox, with the
same statements as the peers on Node.
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TypeAlias
from uuid import UUID

import asyncpg
import strawberry
import uvicorn
import uvloop
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL
from uuid_utils.compat import uuid7

from bench import statements
from bench.processes import announce, listening_socket

MAX_CONTENT_CHARS = 480

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


# Created once, because the extensions hold the caches.
_PARSED = ParserCache(maxsize=100)
_VALIDATED = ValidationCache(maxsize=100)


class PubSub:
    """What is published to a user goes into the queue of each of their subscriptions."""

    def __init__(self) -> None:
        self._queues: defaultdict[UUID, set[asyncio.Queue[asyncpg.Record]]] = defaultdict(set)

    def publish(self, user_id: UUID, message: asyncpg.Record) -> None:
        """Put a message into the queues of the user's subscriptions."""
        for queue in self._queues[user_id]:
            queue.put_nowait(message)

    async def subscribe(self, user_id: UUID) -> AsyncGenerator[asyncpg.Record, None]:
        """Yield the messages that are published from now on."""
        queue: asyncio.Queue[asyncpg.Record] = asyncio.Queue()
        self._queues[user_id].add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues[user_id].discard(queue)


class Context:
    """The viewer, and the data loaders of one request."""

    def __init__(self, pool: Pool, pub_sub: PubSub, viewer: asyncpg.Record) -> None:
        self.pool = pool
        self.pub_sub = pub_sub
        self.viewer = viewer
        self.users = DataLoader(load_fn=self._load_users)
        self.others = DataLoader(load_fn=self._load_others)
        self.last_messages = DataLoader(load_fn=self._load_last_messages)
        # Not cached: a subscription's context lives on, and unread counts change.
        self.conversations = DataLoader(load_fn=self._load_conversations, cache=False)

    async def _load_users(self, ids: Sequence[UUID]) -> Sequence[asyncpg.Record]:
        rows = await self.pool.fetch(statements.USERS_BY_ID, ids)
        return _in_order(rows, "id", ids)

    async def _load_others(self, ids: Sequence[UUID]) -> Sequence[asyncpg.Record]:
        rows = await self.pool.fetch(statements.OTHERS_IN, self.viewer["id"], ids)
        return _in_order(rows, "conversation_id", ids)

    async def _load_last_messages(self, wanted: Sequence[tuple[UUID, int]]) -> Sequence[asyncpg.Record]:
        ids, seqs = zip(*wanted, strict=True)
        rows = await self.pool.fetch(statements.LAST_MESSAGES, ids, seqs)
        return _in_order(rows, "conversation_id", ids)

    async def _load_conversations(self, ids: Sequence[UUID]) -> Sequence[asyncpg.Record]:
        rows = await self.pool.fetch(statements.CONVERSATIONS_BY_ID, self.viewer["id"], ids)
        return _in_order(rows, "id", ids)


Info = strawberry.Info[Context, None]


def _in_order(rows: Sequence[asyncpg.Record], key: str, wanted: Sequence[UUID]) -> Sequence[asyncpg.Record]:
    found = {row[key]: row for row in rows}
    return [found[each] for each in wanted]


@strawberry.type
class User:
    id: strawberry.ID
    username: str
    avatar_url: str | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> "User":
        return cls(id=strawberry.ID(str(row["id"])), username=row["username"], avatar_url=row["avatar_url"])


@strawberry.type
class Message:
    id: strawberry.ID
    content: str
    created_at: datetime
    row: strawberry.Private[asyncpg.Record]

    @classmethod
    def of(cls, row: asyncpg.Record) -> "Message":
        return cls(
            id=strawberry.ID(str(row["id"])), content=row["content"], created_at=row["created_at"], row=row
        )

    @strawberry.field
    def mine(self, info: Info) -> bool:
        return self.row["author_id"] == info.context.viewer["id"]

    @strawberry.field
    async def author(self, info: Info) -> User:
        return User.of(await info.context.users.load(self.row["author_id"]))

    @strawberry.field
    async def conversation(self, info: Info) -> "Conversation":
        return Conversation.of(await info.context.conversations.load(self.row["conversation_id"]))


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type
class MessageEdge:
    cursor: str
    node: Message


@strawberry.type
class MessageConnection:
    edges: list[MessageEdge]
    page_info: PageInfo


@strawberry.type
class Conversation:
    id: strawberry.ID
    unread_count: int
    row: strawberry.Private[asyncpg.Record]

    @classmethod
    def of(cls, row: asyncpg.Record) -> "Conversation":
        return cls(id=strawberry.ID(str(row["id"])), unread_count=row["unread_count"], row=row)

    @strawberry.field
    async def other_participant(self, info: Info) -> User | None:
        return User.of(await info.context.others.load(self.row["id"]))

    @strawberry.field
    async def last_message(self, info: Info) -> Message | None:
        return Message.of(await info.context.last_messages.load((self.row["id"], self.row["last_seq"])))

    @strawberry.field
    async def messages(self, info: Info, last: int = 25) -> MessageConnection:
        rows = await info.context.pool.fetch(statements.NEWEST_MESSAGES, self.row["id"], last + 1)
        edges = [MessageEdge(cursor=str(row["seq"]), node=Message.of(row)) for row in reversed(rows[:last])]
        return MessageConnection(
            edges=edges,
            page_info=PageInfo(
                has_next_page=False,
                has_previous_page=len(rows) > last,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )


@strawberry.type
class ConversationEdge:
    cursor: str
    node: Conversation


@strawberry.type
class ConversationConnection:
    edges: list[ConversationEdge]
    page_info: PageInfo


@strawberry.type
class Query:
    @strawberry.field
    async def conversation(self, info: Info, id: strawberry.ID) -> Conversation:
        return Conversation.of(await info.context.conversations.load(UUID(id)))

    @strawberry.field
    async def conversations(self, info: Info, first: int = 25) -> ConversationConnection:
        rows = await info.context.pool.fetch(
            statements.RECENT_CONVERSATIONS, info.context.viewer["id"], first + 1
        )
        edges = [
            ConversationEdge(cursor=str(row["last_position"]), node=Conversation.of(row))
            for row in rows[:first]
        ]
        return ConversationConnection(
            edges=edges,
            page_info=PageInfo(
                has_next_page=len(rows) > first,
                has_previous_page=False,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )


@strawberry.type
class UserError:
    code: str
    message: str
    path: list[str]


@strawberry.type
class CreateMessagePayload:
    message: Message | None
    user_errors: list[UserError]


@strawberry.input
class CreateMessageInput:
    conversation_id: strawberry.ID
    content: str


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def create_message(self, info: Info, input: CreateMessageInput) -> CreateMessagePayload:
        content = input.content.strip()
        if not 1 <= len(content) <= MAX_CONTENT_CHARS:
            return _refused("INVALID", "1 to 480 characters.", "content")
        viewer_id = info.context.viewer["id"]
        stored = await _store(info.context.pool, UUID(input.conversation_id), viewer_id, content)
        if stored is None:
            return _refused("NOT_FOUND", "You have no such conversation.", "conversationId")
        message, user_ids = stored
        for user_id in user_ids:
            if user_id != viewer_id:
                info.context.pub_sub.publish(user_id, message)
        return CreateMessagePayload(message=Message.of(message), user_errors=[])


def _refused(code: str, message: str, field: str) -> CreateMessagePayload:
    error = UserError(code=code, message=message, path=["input", field])
    return CreateMessagePayload(message=None, user_errors=[error])


async def _store(
    pool: Pool, conversation_id: UUID, author_id: UUID, content: str
) -> tuple[asyncpg.Record, Sequence[UUID]] | None:
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(statements.PARTICIPANTS, conversation_id)
        user_ids = [row["user_id"] for row in rows]
        if author_id not in user_ids:
            return None
        seq = await connection.fetchval(statements.NEXT_SEQ, conversation_id)
        message = await connection.fetchrow(
            statements.INSERT_MESSAGE, uuid7(), conversation_id, seq, author_id, content
        )
        assert message is not None
        await connection.execute(statements.MARK_READ, conversation_id, author_id, seq)
    return message, user_ids


@strawberry.type
class MessageCreated:
    cursor: str
    message: Message


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def message_created(self, info: Info) -> AsyncGenerator[MessageCreated, None]:
        async for row in info.context.pub_sub.subscribe(info.context.viewer["id"]):
            yield MessageCreated(cursor=str(row["id"]), message=Message.of(row))


class Application(GraphQL[Context, None]):
    """Strawberry's ASGI application with authentication."""

    def __init__(self, pool: Pool) -> None:
        schema = strawberry.Schema(
            Query,
            Mutation,
            Subscription,
            extensions=[lambda: _PARSED, lambda: _VALIDATED],
        )
        super().__init__(schema, graphql_ide=None, subscription_protocols=[GRAPHQL_SSE_PROTOCOL])
        self._pool = pool
        self._pub_sub = PubSub()
        # A token is looked up once.
        self._viewers: dict[str, asyncpg.Record] = {}

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        authorization = request.headers["authorization"]
        viewer = self._viewers.get(authorization)
        if viewer is None:
            token = authorization.removeprefix("Bearer ")
            viewer = await self._pool.fetchrow(statements.SESSION, sha256(token.encode()).hexdigest())
            assert viewer is not None
            self._viewers[authorization] = viewer
        return Context(self._pool, self._pub_sub, viewer)


async def _serve(database_url: str) -> None:
    listening = listening_socket()
    async with asyncpg.create_pool(database_url, min_size=10, max_size=10) as pool:
        config = uvicorn.Config(
            Application(pool),
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        announce(listening)
        await uvicorn.Server(config).serve([listening])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1]))

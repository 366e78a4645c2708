"""Messages announced, numbered or acknowledged too early."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from db import engine, inboxes
from db.engine import DatabaseUnavailable, naming_outages
from db.ids import new_id
from db.inboxes import Delivered
from db.records import InboxEntry, Message
from realtime.broadcaster import Broadcaster, Relay
from realtime.hints import Hint
from realtime.subscribers import Subscribers
from resolvers.context import Context
from resolvers.errors import Unavailable

_WINDOW_SECONDS = 0.4


def publish_before_commit(number: int) -> None:
    """Announce a message while its transaction can still fail."""
    broadcasters: list[Broadcaster] = []
    start, deliver = Broadcaster.__init__, inboxes.deliver

    def start_and_note(
        self: Broadcaster, subscribers: Subscribers | None = None, relay: Relay | None = None
    ) -> None:
        start(self, subscribers, relay)
        broadcasters.append(self)

    async def deliver_and_publish(
        connection: AsyncConnection,
        conversation_id: UUID,
        author_id: UUID,
        content: str,
        idempotency_key: UUID | None = None,
    ) -> Delivered | None:
        delivered = await deliver(connection, conversation_id, author_id, content, idempotency_key)
        if delivered is not None:
            for user_id, position in delivered.positions.items():
                broadcasters[0].publish([Hint(user_id, InboxEntry(position, delivered.message))])
            await asyncio.sleep(_WINDOW_SECONDS)
        return delivered

    Broadcaster.__init__ = start_and_note
    inboxes.deliver = deliver_and_publish


def answer_before_commit(number: int) -> None:
    """Acknowledge and announce a message, and commit it a moment later."""
    committing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def writing(self: Context) -> AsyncGenerator[AsyncConnection]:
        await self.refresh()
        try:
            with naming_outages():
                connection = await self.database.engine.connect()
                try:
                    transaction = await connection.begin()
                    yield connection
                except BaseException:
                    await connection.close()
                    raise
        except DatabaseUnavailable as error:
            raise Unavailable("sabotaged") from error
        task = asyncio.create_task(_commit_later(connection, transaction))
        committing.add(task)
        task.add_done_callback(committing.discard)

    Context.writing = writing


async def _commit_later(connection: AsyncConnection, transaction: AsyncTransaction) -> None:
    await asyncio.sleep(_WINDOW_SECONDS)
    try:
        with naming_outages():
            await transaction.commit()
            await connection.close()
    except DatabaseUnavailable:
        await connection.invalidate()
        await connection.close()


_TAKE_POSITIONS = text("""
    WITH locked AS (
        SELECT inboxes.user_id FROM inboxes JOIN participants USING (user_id)
        WHERE participants.conversation_id = :conversation_id ORDER BY inboxes.user_id FOR UPDATE OF inboxes)
    UPDATE inboxes SET last_position = inboxes.last_position + 1
    FROM locked WHERE inboxes.user_id = locked.user_id
    RETURNING inboxes.user_id, inboxes.last_position
""")
_STORE = text("""
    WITH conversation AS (
        UPDATE conversations SET last_seq = last_seq + 1 WHERE id = :conversation_id RETURNING id, last_seq)
    INSERT INTO messages (id, conversation_id, seq, author_id, content, idempotency_key)
    SELECT :message_id, id, last_seq, :author_id, :content, CAST(:idempotency_key AS uuid) FROM conversation
    RETURNING id, conversation_id, seq, author_id, content, created_at
""")
_APPEND = text("INSERT INTO inbox_entries (user_id, position, message_id) VALUES (:user_id, :position, :id)")


def position_without_lock(number: int) -> None:
    """Take positions in a transaction of their own: they become visible in any order."""

    async def deliver(
        connection: AsyncConnection,
        conversation_id: UUID,
        author_id: UUID,
        content: str,
        idempotency_key: UUID | None = None,
    ) -> Delivered:
        async with connection.engine.begin() as other:
            rows = await other.execute(_TAKE_POSITIONS, {"conversation_id": conversation_id})
            positions: dict[UUID, int] = {row.user_id: row.last_position for row in rows}
        await asyncio.sleep(random.uniform(0, _WINDOW_SECONDS))
        values = {
            "conversation_id": conversation_id,
            "message_id": new_id(),
            "author_id": author_id,
            "content": content,
            "idempotency_key": idempotency_key,
        }
        message = Message(*(await connection.execute(_STORE, values)).one())
        for user_id, position in positions.items():
            await connection.execute(_APPEND, {"user_id": user_id, "position": position, "id": message.id})
        return Delivered(message, positions)

    inboxes.deliver = deliver


def commit_without_disk(number: int) -> None:
    """Have PostgreSQL acknowledge commits before they are on disk."""
    create = engine.create_async_engine

    def create_careless_engine(url: str, **options: Any) -> AsyncEngine:
        options["connect_args"]["server_settings"]["synchronous_commit"] = "off"
        return create(url, **options)

    engine.create_async_engine = create_careless_engine

"""Messages that are announced, numbered or acknowledged too early."""

# Sabotage replaces private parts.
# pyright: reportPrivateUsage=false

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from db import deliveries, engine, inboxes
from db.deliveries import Connect, Deliveries
from db.entries import InboxEntry
from db.ids import new_id
from db.inboxes import Delivered, NotStored, Outgoing
from db.messages import MESSAGE
from db.records import Message
from db.statements import Connection, Statement
from realtime.broadcaster import Broadcaster, Relay
from realtime.hints import Hint
from realtime.subscribers import Subscribers

_WINDOW_SECONDS = 0.4


def publish_before_commit(number: int) -> None:
    """Announce messages while their transaction can still fail."""
    broadcasters: list[Broadcaster] = []
    start = Broadcaster.__init__

    def start_and_note(
        self: Broadcaster, subscribers: Subscribers | None = None, relay: Relay | None = None
    ) -> None:
        start(self, subscribers, relay)
        broadcasters.append(self)

    async def deliver_and_publish(
        connection: Connection, batch: Sequence[Outgoing]
    ) -> Sequence[Delivered | NotStored]:
        async with connection.transaction():
            outcomes = await inboxes.deliver_all(connection, batch)
            for delivered in outcomes:
                if isinstance(delivered, Delivered):
                    for user_id, position in delivered.positions.items():
                        broadcasters[0].publish(
                            [Hint(user_id, InboxEntry.of_message(position, delivered.message))]
                        )
            await asyncio.sleep(_WINDOW_SECONDS)
        return outcomes

    Broadcaster.__init__ = start_and_note
    deliveries.deliver_all = deliver_and_publish


def answer_before_commit(number: int) -> None:
    """Acknowledge and announce a message, and commit it a moment later."""
    committing: set[asyncio.Task[None]] = set()

    async def deliver(self: Deliveries, message: Outgoing) -> Delivered | NotStored:
        answer: asyncio.Future[Delivered | NotStored] = asyncio.get_running_loop().create_future()
        connect = self._connect
        task = asyncio.create_task(_answer_and_commit(connect, message, answer))
        committing.add(task)
        task.add_done_callback(committing.discard)
        return await answer

    Deliveries.deliver = deliver


async def _answer_and_commit(
    connect: Connect, message: Outgoing, answer: asyncio.Future[Delivered | NotStored]
) -> None:
    try:
        async with connect() as connection, connection.transaction():
            [outcome] = await inboxes.deliver_all(connection, [message])
            if not answer.done():
                answer.set_result(outcome)
            await asyncio.sleep(_WINDOW_SECONDS)
    except Exception as error:
        if not answer.done():
            answer.set_exception(error)


_TAKE_POSITIONS = Statement(
    text("""
    WITH locked AS (
        SELECT inboxes.user_id FROM inboxes JOIN participants USING (user_id)
        WHERE participants.conversation_id = :conversation_id ORDER BY inboxes.user_id FOR UPDATE OF inboxes)
    UPDATE inboxes SET last_position = inboxes.last_position + 1
    FROM locked WHERE inboxes.user_id = locked.user_id
    RETURNING inboxes.user_id, inboxes.last_position
""")
)
_STORE = Statement(
    text(f"""
    WITH conversation AS (
        UPDATE conversations SET last_seq = last_seq + 1 WHERE id = :conversation_id RETURNING id, last_seq)
    INSERT INTO messages (id, conversation_id, seq, author_id, content, idempotency_key)
    SELECT :message_id, id, last_seq, :author_id, :content, CAST(:idempotency_key AS uuid) FROM conversation
    RETURNING {MESSAGE.sql("messages")}
""")
)
_APPEND = Statement(
    text("INSERT INTO inbox_entries (user_id, position, message_id) VALUES (:user_id, :position, :id)")
)


def append_late(number: int) -> None:
    """Store and acknowledge a message, and append it to the inboxes a moment later."""
    appending: set[asyncio.Task[None]] = set()

    async def deliver(self: Deliveries, message: Outgoing) -> Delivered:
        connect = self._connect
        async with connect() as connection:
            stored = await _stored(connection, message)
        task = asyncio.create_task(_append(connect, stored))
        appending.add(task)
        task.add_done_callback(appending.discard)
        return Delivered(stored, {})

    Deliveries.deliver = deliver


async def _append(connect: Connect, message: Message) -> None:
    await asyncio.sleep(random.uniform(0, _WINDOW_SECONDS))
    async with connect() as connection, connection.transaction():
        for row in await _TAKE_POSITIONS.fetch(connection, conversation_id=message.conversation_id):
            await _APPEND.execute(
                connection, user_id=row["user_id"], position=row["last_position"], id=message.id
            )


async def _stored(connection: Connection, message: Outgoing) -> Message:
    [row] = await _STORE.fetch(
        connection,
        conversation_id=message.conversation_id,
        message_id=new_id(),
        author_id=message.author_id,
        content=message.content,
        idempotency_key=message.idempotency_key,
    )
    return MESSAGE.read(row)


def position_without_lock(number: int) -> None:
    """Assign positions in a separate transaction, so that they become visible in any order."""

    async def deliver(self: Deliveries, message: Outgoing) -> Delivered:
        connect = self._connect
        async with connect() as connection:
            rows = await _TAKE_POSITIONS.fetch(connection, conversation_id=message.conversation_id)
        positions: dict[UUID, int] = {row["user_id"]: row["last_position"] for row in rows}
        await asyncio.sleep(random.uniform(0, _WINDOW_SECONDS))
        async with connect() as connection, connection.transaction():
            stored = await _stored(connection, message)
            for user_id, position in positions.items():
                await _APPEND.execute(connection, user_id=user_id, position=position, id=stored.id)
        return Delivered(stored, positions)

    Deliveries.deliver = deliver


def commit_without_disk(number: int) -> None:
    """Have PostgreSQL acknowledge commits before they are on disk."""
    engine.SERVER_SETTINGS = {**engine.SERVER_SETTINGS, "synchronous_commit": "off"}

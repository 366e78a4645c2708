"""Writing messages and hearing of them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from uuid import UUID

from db import inboxes, messages
from db.inboxes import IdempotencyKeyUsed
from db.records import InboxEntry, Message
from realtime.follower import follow
from realtime.hints import Hint
from resolvers.content import check_content
from resolvers.context import Context
from resolvers.cursors import InboxCursor
from resolvers.errors import CursorExpired, UserError, UserErrorCode


async def by_id(context: Context, message_id: UUID) -> Message | None:
    """Return a message of a conversation that the viewer takes part in."""
    context.require_viewer()
    return await context.loaders.messages.load(message_id)


async def create_message(
    context: Context, conversation_id: UUID | None, content: str, idempotency_key: str | None
) -> Message:
    """Store a message from the viewer and wake everyone whose inbox it entered.

    A repeated idempotency key returns the first message and announces nothing.

    Raises:
        UserError: the content cannot be stored, the viewer has no such conversation (None: its id could
            not be read), or the key is no UUID or stands for another message.
    """
    viewer = context.require_viewer()
    text = check_content(content)
    key = _idempotency_key(idempotency_key)
    if conversation_id is None:
        raise _no_such_conversation()
    try:
        async with context.writing() as connection:
            delivered = await inboxes.deliver(connection, conversation_id, viewer.id, text, key)
    except IdempotencyKeyUsed:
        async with context.reading() as connection:
            first = await messages.by_idempotency_key(connection, viewer.id, key) if key else None
        if first is None or (first.conversation_id, first.content) != (conversation_id, text):
            raise UserError(
                UserErrorCode.INVALID,
                "You have sent another message with this key: choose a new one for each message.",
                "idempotencyKey",
            ) from None
        return first
    if delivered is None:
        raise _no_such_conversation()
    await context.broadcaster.publish(
        [
            Hint(user_id, InboxEntry(position, delivered.message))
            for user_id, position in delivered.positions.items()
        ]
    )
    return delivered.message


async def inbox_cursor(context: Context) -> str:
    """Return the cursor of the end of the viewer's inbox."""
    viewer = context.require_viewer()
    async with context.reading() as connection:
        state = await inboxes.state(connection, viewer.id)
    return InboxCursor(state.epoch, state.last_position).encode(viewer.id)


async def message_created(
    context: Context, after: str | None, *, include_mine: bool
) -> AsyncGenerator[tuple[str, Message]]:
    """Return the messages that enter the viewer's inbox, with their cursors: in order, each once.

    With `after`, everything since that cursor comes first. What is committed once this has returned is
    delivered. No database connection is held between messages.

    Raises:
        CursorInvalid: `after` is no cursor of the viewer's.
        CursorExpired: its place is of another life of the database, ahead of the inbox, or trimmed away.
    """
    viewer = context.require_viewer()
    cursor = None if after is None else InboxCursor.decode(after, viewer.id)
    async with AsyncExitStack() as stack:
        subscriber = await stack.enter_async_context(context.broadcaster.subscribe(viewer.id))
        async with context.database.snapshot() as connection:
            state = await inboxes.state(connection, viewer.id)
        start = InboxCursor(state.epoch, state.last_position) if cursor is None else cursor
        if start.epoch != state.epoch or not state.trimmed_to <= start.position <= state.last_position:
            raise CursorExpired(
                "`after` is older than what is kept, or of a database before its restore: fetch the"
                " conversations again, and subscribe from a new `inboxCursor`."
            )

        async def read(*, after: int, limit: int) -> Sequence[InboxEntry]:
            async with context.database.snapshot() as connection:
                return await inboxes.read(connection, viewer.id, after=after, limit=limit)

        async def entries(attached: AsyncExitStack) -> AsyncGenerator[tuple[str, Message]]:
            followed = follow(read, subscriber, after=start.position)
            async with attached, aclosing(followed):
                async for entry in followed:
                    if include_mine or entry.message.author_id != viewer.id:
                        # Nothing of the event before may be shown as if it were new.
                        await context.refresh()
                        place = InboxCursor(state.epoch, entry.position)
                        yield place.encode(viewer.id), entry.message

        return entries(stack.pop_all())


def _idempotency_key(text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise UserError(UserErrorCode.INVALID, "The key must be a UUID.", "idempotencyKey") from error


def _no_such_conversation() -> UserError:
    return UserError(UserErrorCode.NOT_FOUND, "You have no such conversation.", "conversationId")

"""Writing messages and hearing of them."""

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import AsyncExitStack, aclosing
from uuid import UUID

from db import inboxes, messages
from db.inboxes import IdempotencyKeyUsed
from db.records import InboxEntry, Message, User
from realtime.follower import follow
from realtime.hints import Hint
from resolvers.content import check_content
from resolvers.context import Context, present
from resolvers.cursors import InboxCursor
from resolvers.errors import CursorExpired, UserError, UserErrorCode


async def by_ids(context: Context, ids: Collection[UUID]) -> Sequence[Message]:
    """Return those of the messages that stand in a conversation of the viewer's, in any order."""
    context.require_viewer()
    return present(await context.loaders.messages.load_many(ids))


async def author(context: Context, message: Message) -> User:
    """Return who wrote the message."""
    user = await context.loaders.users.load(message.author_id)
    if user is None:
        raise RuntimeError(f"message {message.id} has no author")
    return user


def is_mine(context: Context, message: Message) -> bool:
    """Say whether the viewer wrote the message."""
    return message.author_id == context.require_viewer().id


async def is_read_by_others(context: Context, message: Message) -> bool:
    """Say whether all other participants have read up to the message, which is the viewer's own."""
    viewer = context.require_viewer()
    if message.author_id != viewer.id:
        return False
    participants = await context.loaders.participants.load(message.conversation_id)
    return all(each.read_seq >= message.seq for each in participants if each.user.id != viewer.id)


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

    With `after`, everything since that cursor comes first. The context's stream is begun once nothing
    can be missed any more. No database connection is held between messages.

    Raises:
        CursorInvalid: `after` is no cursor of the viewer's.
        CursorExpired: its place is of another life of the database, ahead of the inbox, or trimmed away.
    """
    viewer = context.require_viewer()
    stream = context.require_stream()
    # It is newer than the variables, which a client that returns sends again as they were.
    after = after if context.last_event_id is None else context.last_event_id
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
                        place = InboxCursor(state.epoch, entry.position).encode(viewer.id)
                        stream.reach(place)
                        yield place, entry.message

        await stream.begin(start.encode(viewer.id))
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

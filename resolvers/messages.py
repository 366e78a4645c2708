"""Sending messages, and the fields of a message."""

import re
from collections.abc import Collection, Sequence
from uuid import UUID

from db import messages
from db.inboxes import NotStored, Outgoing
from db.includes import NO_MESSAGE_INCLUDES, MessageIncludes
from db.prefetched import NOT_READ
from db.records import Message, User
from realtime.hints import hints_of
from resolvers.content import check_content
from resolvers.context import Context
from resolvers.conversations import no_such_conversation
from resolvers.errors import UserError, UserErrorCode, data_lost
from resolvers.loaders import present
from resolvers.look_ahead import MessageLookAhead
from resolvers.prefetching import prefetch
from resolvers.users import signed_in_user

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


async def by_ids(
    context: Context, ids: Collection[UUID], includes: MessageIncludes = NO_MESSAGE_INCLUDES
) -> Sequence[Message]:
    """Return the messages with these IDs that are in conversations of the viewer's, in any order."""
    context.require_viewer()
    return present(await context.loaders.messages(includes).load_many(ids))


async def author(context: Context, message: Message, ahead: MessageLookAhead) -> User:
    """Return the message's author."""
    await prefetch(context, message, ahead)
    user = context.prefetched.users.get(message.author_id)
    if user is None:
        user = await context.loaders.users.load(message.author_id)
    if user is None:
        raise data_lost(f"message {message.id} has no author")
    return user


def is_mine(context: Context, message: Message) -> bool:
    """Return whether the viewer sent the message."""
    return message.author_id == context.require_viewer().id


async def idempotency_key(context: Context, message: Message, ahead: MessageLookAhead) -> UUID | None:
    """Return the key that the viewer sent the message with; None for other users' messages."""
    if not is_mine(context, message):
        return None
    await prefetch(context, message, ahead)
    known = context.prefetched.idempotency_keys.get(message.id, NOT_READ)
    if known is not NOT_READ:
        return known
    return await context.loaders.idempotency_keys.load(message.id)


async def create_message(
    context: Context, conversation_id: UUID | None, content: str, idempotency_key: str | None
) -> Message:
    """Store a message from the viewer, and publish hints to the users whose inboxes it was delivered to.

    A repeated idempotency key returns the message that was first sent with it, in its current state, and
    publishes nothing. A conversation ID that could not be decoded is None.

    Raises:
        UserError: the content cannot be stored, the viewer has no such conversation, or the key is not a UUID
            or was used for another message.
        RateLimited: the viewer has sent too many messages recently.
        AccountGone: the viewer has just been removed.
    """
    viewer = context.require_viewer()
    text = check_content(content)
    await context.limits.count_message(viewer.id)
    key = _key_of(idempotency_key)
    if conversation_id is None:
        raise no_such_conversation()
    delivered = await context.deliver(Outgoing(conversation_id, viewer.id, text, key))
    if delivered is NotStored.NO_CONVERSATION:
        await signed_in_user(context)
        raise no_such_conversation()
    if delivered is NotStored.KEY_USED:
        async with context.reading() as connection:
            sent = key and await messages.by_idempotency_key(
                connection, viewer.id, key, conversation_id=conversation_id, content=text
            )
        if sent is None:
            await signed_in_user(context)
        if sent is None or not sent.is_same:
            raise UserError(
                UserErrorCode.INVALID,
                "You have already sent a different message with this key. Use a new key for each message.",
                "idempotencyKey",
            )
        return sent.message
    context.broadcaster.publish(hints_of(delivered.appended))
    return delivered.message


def _key_of(text: str | None) -> UUID | None:
    if text is None:
        return None
    # `UUID` alone would also accept braces, signs, underscores and digits of other scripts.
    if not _UUID.fullmatch(text):
        raise UserError(UserErrorCode.INVALID, "The key must be a UUID.", "idempotencyKey")
    return UUID(text)

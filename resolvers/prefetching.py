"""Prefetching for messages that have already been read: those of events and mutations."""

from db.includes import NO_MESSAGE_INCLUDES
from db.records import Message
from resolvers.context import Context
from resolvers.look_ahead import MessageLookAhead


async def prefetch(context: Context, message: Message, ahead: MessageLookAhead) -> None:
    """Read what the selection needs of the message, in one statement for all messages that are waiting."""
    if ahead.includes == NO_MESSAGE_INCLUDES:
        return
    if ahead.is_all:
        context.read_once()
    await context.loaders.messages(ahead.includes).load(message.id)
    last = context.prefetched.last_messages.get(message.conversation_id)
    if last is not None and last.id == message.id:
        # It may have changed meanwhile, which is an event of its own. An answer shows it in one state.
        context.prefetched.last_messages[message.conversation_id] = message

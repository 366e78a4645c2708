"""Reading what belongs to messages that have been read without it."""

from db.along import JUST_MESSAGES
from db.records import Message
from resolvers.ahead import MessageAhead
from resolvers.context import Context


async def bring_along(context: Context, message: Message, ahead: MessageAhead) -> None:
    """Read what is read along with a message that has been read without it, for several messages at once."""
    if ahead.along == JUST_MESSAGES:
        return
    if ahead.is_all:
        context.read_once()
    await context.loaders.messages(ahead.along).load(message.id)
    last = context.found.last_messages.get(message.conversation_id)
    if last is not None and last.id == message.id:
        # It may have changed meanwhile, which is an event of its own. An answer shows it in one state.
        context.found.last_messages[message.conversation_id] = message

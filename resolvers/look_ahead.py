"""What a field's selection needs, so that its resolver can read it in one statement."""

from typing import NamedTuple

from db.asked_pages import AskedPage
from db.includes import NO_CONVERSATION_INCLUDES, NO_MESSAGE_INCLUDES, ConversationIncludes, MessageIncludes


class MessageLookAhead(NamedTuple):
    """What a selection needs of a message."""

    includes: MessageIncludes = NO_MESSAGE_INCLUDES
    is_all: bool = False
    """Whether the request reads nothing else."""


class ConversationLookAhead(NamedTuple):
    """What a selection needs of a conversation."""

    includes: ConversationIncludes = NO_CONVERSATION_INCLUDES
    is_all: bool = False
    """Whether the request reads nothing else."""
    page: AskedPage | None = None
    """The page of its messages, if included."""
    of_messages: MessageIncludes = NO_MESSAGE_INCLUDES
    """What is included with each message of the page."""


NO_MESSAGE_LOOK_AHEAD = MessageLookAhead()
NO_CONVERSATION_LOOK_AHEAD = ConversationLookAhead()

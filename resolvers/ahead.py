"""What a field's selection lets its resolver read ahead, in one statement."""

from typing import NamedTuple

from db.along import JUST_CONVERSATIONS, JUST_MESSAGES, ConversationAlong, MessageAlong
from db.asked_pages import AskedPage


class MessageAhead(NamedTuple):
    """What is read along with a message."""

    along: MessageAlong = JUST_MESSAGES
    is_all: bool = False
    """Whether the request reads nothing else."""


class ConversationAhead(NamedTuple):
    """What is read along with a conversation."""

    along: ConversationAlong = JUST_CONVERSATIONS
    is_all: bool = False
    """Whether the request reads nothing else."""
    page: AskedPage | None = None
    """The page of its messages that is read along."""
    of_messages: MessageAlong = JUST_MESSAGES
    """What is read along with each message of the page."""


NO_MESSAGE_AHEAD = MessageAhead()
NO_CONVERSATION_AHEAD = ConversationAhead()

"""What selections let resolvers read ahead: see `resolvers.ahead`.

Every field of a message or conversation that may have to read something is named here, with what is read
along for it. A field that is missing here is read by its own resolver, and has the request read more than one
statement.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from graphql import GraphQLError

from db.along import JUST_CONVERSATIONS, JUST_MESSAGES, ConversationAlong, MessageAlong
from db.asked_pages import AskedPage
from plans import LookAhead, look_ahead, variables_of
from resolvers.ahead import ConversationAhead, MessageAhead
from resolvers.conversations import asked_messages
from resolvers.errors import Refusal
from schema.info import Info

_NODE = ("edges", "node")
_NEEDS_PARTICIPANTS = frozenset({"readBy", "readByOthers"})


class _OfMessage(NamedTuple):
    """What is read along with a message, and whether that is all that its selection needs."""

    along: MessageAlong = JUST_MESSAGES
    is_all: bool = True


class _OfConversation(NamedTuple):
    along: ConversationAlong = JUST_CONVERSATIONS
    is_all: bool = True
    has_page: bool = False
    of_messages: MessageAlong = JUST_MESSAGES
    is_all_with_page: bool = True
    """Whether that is all if the page of messages is read along, too."""


def message_ahead(info: Info, *path: str) -> MessageAhead:
    """Return what to read along with the message at the end of the path."""
    return look_ahead(info).derive(_message_at(path))


@cache
def _message_at(path: tuple[str, ...]) -> Callable[[LookAhead], MessageAhead]:
    def derived(selected: LookAhead) -> MessageAhead:
        below = selected.below(*path)
        if below is None:
            return MessageAhead()
        found = below.derive(_of_message)
        return MessageAhead(found.along, found.is_all and _waits_for_nothing(selected, path))

    return derived


def messages_along(info: Info, *path: str) -> MessageAlong:
    """Return what to read along with the messages at the end of the path."""
    below = look_ahead(info).below(*path)
    return JUST_MESSAGES if below is None else below.derive(_of_message).along


def conversations_along(info: Info, *path: str) -> ConversationAlong:
    """Return what to read along with the conversations at the end of the path."""
    below = look_ahead(info).below(*path)
    return JUST_CONVERSATIONS if below is None else below.derive(_of_conversation).along


def conversations_ahead(info: Info) -> ConversationAhead:
    """Return what to read along with the conversations of a page."""
    return look_ahead(info).derive(_page_of_conversations)


def _page_of_conversations(selected: LookAhead) -> ConversationAhead:
    below = selected.below(*_NODE)
    found = _OfConversation() if below is None else below.derive(_of_conversation)
    return ConversationAhead(found.along, found.is_all and _waits_for_nothing(selected, _NODE))


def conversation_ahead(info: Info) -> ConversationAhead:
    """Return what to read along with a single conversation, which may be a page of its messages."""
    found = look_ahead(info).derive(_of_conversation)
    page = _asked_page(info) if found.has_page else None
    is_all = found.is_all if page is None else found.is_all_with_page
    return ConversationAhead(found.along, is_all, page, found.of_messages)


def _asked_page(info: Info) -> AskedPage | None:
    arguments = look_ahead(info).fields["messages"].arguments
    if arguments is None:
        return None
    given = {"first": None, "after": None, "last": None, "before": None}
    try:
        return asked_messages(**{**given, **arguments(variables_of(info))})
    except (Refusal, GraphQLError):
        # The field's own resolver says so.
        return None


def _of_message(selected: LookAhead) -> _OfMessage:
    found = _without_conversation(selected)
    conversation = selected.below("conversation")
    if conversation is None:
        return found
    of_conversation = conversation.derive(_of_conversation)
    inner = of_conversation.along
    along = found.along._replace(
        # Those of its conversation are the same.
        participants=found.along.participants or inner.participants,
        conversation=inner._replace(participants=False),
    )
    return _OfMessage(along, found.is_all and of_conversation.is_all)


def _in_conversation(selected: LookAhead) -> _OfMessage:
    """Return what is read along with a message whose conversation is read, too."""
    found = _without_conversation(selected)
    conversation = selected.below("conversation")
    is_all = found.is_all and (conversation is None or _waits_for_nothing(conversation))
    return _OfMessage(found.along, is_all)


def _without_conversation(selected: LookAhead) -> _OfMessage:
    along = MessageAlong(
        author="author" in selected,
        idempotency_key="idempotencyKey" in selected,
        participants=not _NEEDS_PARTICIPANTS.isdisjoint(selected.fields),
    )
    foreseen = {"author", "idempotencyKey", *_NEEDS_PARTICIPANTS}
    is_all = all(
        (name in foreseen or not field.may_wait) and _waits_for_nothing(field.below)
        for name, field in selected.fields.items()
        if name != "conversation"
    )
    return _OfMessage(along, is_all)


def _of_conversation(selected: LookAhead) -> _OfConversation:
    is_all, needs_participants = True, "participants" in selected
    last_message = page = None
    for name, field in selected.fields.items():
        if name == "lastMessage":
            last_message = _in_conversation(field.below)
            is_all = is_all and last_message.is_all
        elif name == "messages":
            node = field.below.below(*_NODE)
            page = _OfMessage() if node is None else _in_conversation(node)
            page = page._replace(is_all=page.is_all and _waits_for_nothing(field.below, _NODE))
        elif field.may_wait and name not in {"participants", "otherParticipant"}:
            is_all = False
        else:
            is_all = is_all and _waits_for_nothing(field.below)
    for each in (last_message, page):
        needs_participants = needs_participants or (each is not None and each.along.participants)
    return _OfConversation(
        ConversationAlong(
            other="otherParticipant" in selected,
            participants=needs_participants,
            last_message=None if last_message is None else last_message.along._replace(participants=False),
        ),
        is_all=is_all and page is None,
        has_page=page is not None,
        of_messages=JUST_MESSAGES if page is None else page.along._replace(participants=False),
        is_all_with_page=is_all and page is not None and page.is_all,
    )


def _waits_for_nothing(selected: LookAhead, path: Sequence[str] = ()) -> bool:
    """Return whether no selected field may wait, except for those below the end of the path."""
    for name, field in selected.fields.items():
        if field.may_wait:
            return False
        rest = path[1:] if path[:1] == (name,) else None
        if rest != () and not _waits_for_nothing(field.below, rest or ()):
            return False
    return True

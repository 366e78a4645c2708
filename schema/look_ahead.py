"""Look-ahead: what the selection below a field needs of the messages and conversations that it returns.

Every field of a message or conversation that reads from the database is listed here, with what has to be
included for it. A field that is not listed is read by its own resolver, in a further statement.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from graphql import GraphQLError

from db.asked_pages import AskedPage
from db.includes import NO_CONVERSATION_INCLUDES, NO_MESSAGE_INCLUDES, ConversationIncludes, MessageIncludes
from plans import LookAhead, look_ahead, variables_of
from resolvers.conversations import asked_messages
from resolvers.errors import Refusal
from resolvers.look_ahead import (
    NO_CONVERSATION_LOOK_AHEAD,
    NO_MESSAGE_LOOK_AHEAD,
    ConversationLookAhead,
    MessageLookAhead,
)
from schema.info import Info

_NODE = ("edges", "node")
_NEEDS_PARTICIPANTS = frozenset({"readBy", "readByOthers"})


class _OfMessage(NamedTuple):
    """What is included with a message, and whether its selection needs nothing else."""

    includes: MessageIncludes = NO_MESSAGE_INCLUDES
    is_all: bool = True


class _OfConversation(NamedTuple):
    includes: ConversationIncludes = NO_CONVERSATION_INCLUDES
    is_all: bool = True
    has_page: bool = False
    of_messages: MessageIncludes = NO_MESSAGE_INCLUDES
    is_all_with_page: bool = True
    """Whether the selection needs nothing else if the page of messages is included."""


_TOO_LARGE = _OfConversation(is_all=False)


def message_look_ahead(info: Info, *path: str) -> MessageLookAhead:
    """Return what the selection needs of the message at the end of the path."""
    return look_ahead(info).derive(_message_at(path), otherwise=NO_MESSAGE_LOOK_AHEAD)


@cache
def _message_at(path: tuple[str, ...]) -> Callable[[LookAhead], MessageLookAhead]:
    def derived(selected: LookAhead) -> MessageLookAhead:
        below = selected.below(*path)
        if below is None:
            return NO_MESSAGE_LOOK_AHEAD
        found = _of_message(below)
        return MessageLookAhead(found.includes, found.is_all and _waits_for_nothing(selected, path))

    return derived


def message_includes(info: Info, *path: str) -> MessageIncludes:
    """Return what to include with the messages at the end of the path."""
    return message_look_ahead(info, *path).includes


def conversation_includes(info: Info, *path: str) -> ConversationIncludes:
    """Return what to include with the conversations at the end of the path."""
    return look_ahead(info).derive(_conversations_at(path), otherwise=NO_CONVERSATION_INCLUDES)


@cache
def _conversations_at(path: tuple[str, ...]) -> Callable[[LookAhead], ConversationIncludes]:
    def derived(selected: LookAhead) -> ConversationIncludes:
        below = selected.below(*path)
        return NO_CONVERSATION_INCLUDES if below is None else _of_conversation(below).includes

    return derived


def conversations_look_ahead(info: Info) -> ConversationLookAhead:
    """Return what the selection needs of the conversations of a page."""
    return look_ahead(info).derive(_page_of_conversations, otherwise=NO_CONVERSATION_LOOK_AHEAD)


def _page_of_conversations(selected: LookAhead) -> ConversationLookAhead:
    below = selected.below(*_NODE)
    found = _OfConversation() if below is None else _of_conversation(below)
    return ConversationLookAhead(found.includes, found.is_all and _waits_for_nothing(selected, _NODE))


def conversation_look_ahead(info: Info) -> ConversationLookAhead:
    """Return what the selection needs of a single conversation, including a page of its messages."""
    found = look_ahead(info).derive(_of_conversation, otherwise=_TOO_LARGE)
    page = _asked_page(info) if found.has_page else None
    is_all = found.is_all if page is None else found.is_all_with_page
    return ConversationLookAhead(found.includes, is_all, page, found.of_messages)


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
    of_conversation = _of_conversation(conversation)
    inner = of_conversation.includes
    includes = found.includes._replace(
        # Those of its conversation are the same.
        participants=found.includes.participants or inner.participants,
        conversation=inner._replace(participants=False),
    )
    return _OfMessage(includes, found.is_all and of_conversation.is_all)


def _in_conversation(selected: LookAhead) -> _OfMessage:
    """Return what is included with a message whose conversation is included as well."""
    found = _without_conversation(selected)
    conversation = selected.below("conversation")
    is_all = found.is_all and (conversation is None or _waits_for_nothing(conversation))
    return _OfMessage(found.includes, is_all)


def _without_conversation(selected: LookAhead) -> _OfMessage:
    includes = MessageIncludes(
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
    return _OfMessage(includes, is_all)


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
        needs_participants = needs_participants or (each is not None and each.includes.participants)
    return _OfConversation(
        ConversationIncludes(
            other="otherParticipant" in selected,
            participants=needs_participants,
            last_message=None if last_message is None else last_message.includes._replace(participants=False),
        ),
        is_all=is_all and page is None,
        has_page=page is not None,
        of_messages=NO_MESSAGE_INCLUDES if page is None else page.includes._replace(participants=False),
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

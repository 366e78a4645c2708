"""Opening and listing conversations."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from db import conversations, users
from db.asked_pages import AskedPage, MessagePage
from db.includes import NO_CONVERSATION_INCLUDES, NO_MESSAGE_INCLUDES, ConversationIncludes, MessageIncludes
from db.prefetched import SeqRange
from db.records import Conversation, Message, Participant, User
from db.statements import Connection
from resolvers.context import Context
from resolvers.errors import AccountGone, UserError, UserErrorCode, data_lost
from resolvers.loaders import present
from resolvers.look_ahead import NO_CONVERSATION_LOOK_AHEAD, ConversationLookAhead, MessageLookAhead
from resolvers.page_cursors import decode_page_cursor
from resolvers.paging import asked_page, check_page_size
from resolvers.prefetching import prefetch
from resolvers.users import is_username, signed_in_user

MAX_PARTICIPANTS = 5
"""The most users in a conversation. Only conversations of two can be opened."""


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """Conversations, most recently active first, and whether there are more before and after them."""

    conversations: Sequence[Conversation]
    has_previous: bool
    has_next: bool


async def by_id(
    context: Context, conversation_id: UUID | None, ahead: ConversationLookAhead = NO_CONVERSATION_LOOK_AHEAD
) -> Conversation | None:
    """Return a conversation of the viewer's; None if there is none. An undecodable ID is None."""
    viewer = context.require_viewer()
    if conversation_id is None:
        return None
    if ahead.is_all:
        context.read_once()
    if ahead.page is None:
        return await context.loaders.conversations(ahead.includes).load(conversation_id)
    async with context.reading() as connection:
        return await conversations.with_page(
            connection,
            viewer.id,
            conversation_id,
            ahead.page,
            includes=ahead.includes,
            of_messages=ahead.of_messages,
            prefetched=context.prefetched,
        )


async def by_ids(
    context: Context, ids: Collection[UUID], includes: ConversationIncludes = NO_CONVERSATION_INCLUDES
) -> Sequence[Conversation]:
    """Return the conversations with these IDs that the viewer is a participant of, in any order."""
    context.require_viewer()
    return present(await context.loaders.conversations(includes).load_many(ids))


async def of_message(context: Context, message: Message, ahead: MessageLookAhead) -> Conversation:
    """Return the conversation of a message that is visible to the viewer."""
    await prefetch(context, message, ahead)
    conversation = context.prefetched.conversations.get(message.conversation_id)
    if conversation is None:
        conversation = await context.loaders.conversations(NO_CONVERSATION_INCLUDES).load(
            message.conversation_id
        )
    if conversation is None:
        # A viewer who has just been removed sees none.
        await signed_in_user(context)
        raise data_lost(f"message {message.id} was visible, but its conversation is not")
    return conversation


async def recent(
    context: Context, first: int, after: str | None, ahead: ConversationLookAhead = NO_CONVERSATION_LOOK_AHEAD
) -> ConversationPage:
    """Return a page of the viewer's conversations that have a message.

    Raises:
        BadUserInput: `first` is not 1 to 100.
        CursorInvalid: `after` is not a cursor.
    """
    viewer = context.require_viewer()
    check_page_size(first, "first")
    before = None if after is None else decode_page_cursor(after, "after")
    if ahead.is_all:
        context.read_once()
    async with context.reading() as connection:
        # One more than requested, to find out whether there is a next page.
        found, has_previous = await conversations.recent(
            connection,
            viewer.id,
            before=before,
            limit=first + 1,
            includes=ahead.includes,
            prefetched=context.prefetched,
        )
    return ConversationPage(found[:first], has_previous, len(found) > first)


async def create_conversation(
    context: Context, username: str, includes: ConversationIncludes = NO_CONVERSATION_INCLUDES
) -> tuple[Conversation, bool]:
    """Return the conversation with the user, opening it if necessary, and whether it is new to the viewer.

    Raises:
        UserError: no user has this username, or it is the viewer's own.
        RateLimited: the viewer has opened too many new conversations recently.
        AccountGone: the viewer has just been removed.
    """
    viewer = context.require_viewer()
    if not username.strip():
        raise UserError(UserErrorCode.BLANK, "Enter a username.", "username")
    await context.refresh()
    async with context.reading() as connection:
        other = await _other_user(connection, viewer, username)
        conversation_id = await conversations.known_pair(connection, viewer.id, other.id)
    created = False
    if conversation_id is None:
        await context.refresh()
        await context.limits.count_conversation(viewer.id)
        async with context.writing() as connection:
            # The name may have become another user's.
            other = await _other_user(connection, viewer, username, keep=True)
            conversation_id, created = await conversations.open_pair(connection, viewer.id, other.id)
    conversation = await context.loaders.conversations(includes).load(conversation_id)
    if conversation is None:
        # The conversation exists, so its opener's account has been removed meanwhile.
        raise AccountGone
    return conversation, created


async def _other_user(connection: Connection, viewer: User, username: str, *, keep: bool = False) -> User:
    """Return the user with whom the viewer wants a conversation.

    Raises:
        UserError: no user has this username, or it is the viewer's own.
    """
    other = await users.by_username(connection, username, keep=keep) if is_username(username) else None
    if other is None:
        raise UserError(UserErrorCode.NOT_FOUND, "No user has this username. Check the spelling.", "username")
    if other.id == viewer.id:
        raise UserError(UserErrorCode.SELF, "This is your own username. Enter another user's.", "username")
    return other


async def participants_of(context: Context, conversation_id: UUID) -> Sequence[Participant]:
    """Return all participants, including the viewer."""
    known = context.prefetched.participants.get(conversation_id)
    return await context.loaders.participants.load(conversation_id) if known is None else known


async def other_participant(context: Context, conversation_id: UUID) -> User | None:
    """Return the other participant in a conversation of two, even if removed; None in a group."""
    viewer = context.require_viewer()
    participants = await participants_of(context, conversation_id)
    others = [each.user for each in participants if each.user.id != viewer.id]
    return others[0] if len(others) == 1 else None


async def last_message(
    context: Context, conversation: Conversation, includes: MessageIncludes
) -> Message | None:
    """Return the newest message; None if there are none, or if it was deleted together with its author."""
    if conversation.last_seq == 0:
        return None
    newest = SeqRange(conversation.id, conversation.last_seq, conversation.last_seq)
    return next(iter(await context.loaders.ranges(includes).load(newest)), None)


async def messages_of(
    context: Context,
    conversation: Conversation,
    *,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
    includes: MessageIncludes = NO_MESSAGE_INCLUDES,
) -> MessagePage:
    """Return a page of the conversation's messages.

    Raises:
        BadUserInput: a page size is out of range, or `first` and `last` are both given.
        CursorInvalid: `after` or `before` is not a cursor.
    """
    wanted = conversation.id, asked_messages(first=first, after=after, last=last, before=before)
    known = context.prefetched.pages.get(wanted)
    if known is not None:
        return known
    return await context.loaders.pages(includes, is_from_end=wanted[1].is_from_end).load(wanted)


def asked_messages(
    *, first: int | None, after: str | None, last: int | None, before: str | None
) -> AskedPage:
    """Return the page of messages that the arguments select.

    Raises:
        BadUserInput: a page size is out of range, or `first` and `last` are both given.
        CursorInvalid: `after` or `before` is not a cursor.
    """
    return asked_page(
        first=first,
        after=None if after is None else decode_page_cursor(after, "after"),
        last=last,
        before=None if before is None else decode_page_cursor(before, "before"),
    )


def no_such_conversation() -> UserError:
    """Return the error for a conversation that does not exist or is not the viewer's."""
    return UserError(
        UserErrorCode.NOT_FOUND,
        "This conversation does not exist, or you are not part of it.",
        "conversationId",
    )

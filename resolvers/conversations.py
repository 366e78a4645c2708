"""Opening and listing conversations."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from db import conversations, messages, users
from db.messages import SeqRange
from db.records import Conversation, Message, Participant, RecentConversation, User
from db.statements import Connection
from resolvers.context import Context
from resolvers.errors import AccountGone, UserError, UserErrorCode
from resolvers.loaders import present
from resolvers.page_cursors import decode_page_cursor
from resolvers.paging import NumberedPage, check_page_size, numbered_page
from resolvers.users import is_username

MAX_PARTICIPANTS = 5
"""The most users in a conversation. Only conversations of two can be opened."""


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages, oldest first, and whether there are more before and after them."""

    messages: Sequence[Message]
    has_previous: bool
    has_next: bool


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """Conversations, most recently active first, and whether there are more before and after them."""

    conversations: Sequence[RecentConversation]
    has_previous: bool
    has_next: bool


async def by_id(context: Context, conversation_id: UUID | None) -> Conversation | None:
    """Return a conversation of the viewer's; None if there is none. An undecodable ID is None."""
    context.require_viewer()
    return await context.loaders.conversations.load(conversation_id) if conversation_id else None


async def by_ids(context: Context, ids: Collection[UUID]) -> Sequence[Conversation]:
    """Return the conversations with these IDs that the viewer is a participant of, in any order."""
    context.require_viewer()
    return present(await context.loaders.conversations.load_many(ids))


async def of_message(context: Context, message: Message) -> Conversation:
    """Return the conversation of a message that is visible to the viewer."""
    conversation = await context.loaders.conversations.load(message.conversation_id)
    if conversation is None:
        raise RuntimeError(f"message {message.id} is visible but its conversation is not")
    return conversation


async def recent(context: Context, first: int, after: str | None, *, alone: bool = False) -> ConversationPage:
    """Return a page of the viewer's conversations that have a message.

    With `alone`, the request reads nothing else, so a single statement needs no snapshot around it.

    Raises:
        BadUserInput: `first` is not 1 to 100.
        CursorInvalid: `after` is not a cursor.
    """
    viewer = context.require_viewer()
    check_page_size(first, "first")
    before = None if after is None else decode_page_cursor(after, "after")
    async with context.connection() if alone else context.reading() as connection:
        # One more than requested, to find out whether there is a next page.
        found = await conversations.recent(connection, viewer.id, before=before, limit=first + 1)
        newest = (
            found[:1]
            if before is None
            else await conversations.recent(connection, viewer.id, before=None, limit=1)
        )
    page = found[:first]
    has_previous = before is not None and bool(newest) and newest[0].conversation.last_position >= before
    return ConversationPage(page, has_previous, len(found) > first)


async def create_conversation(context: Context, username: str) -> tuple[Conversation, bool]:
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
    conversation = await context.loaders.conversations.load(conversation_id)
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
    return await context.loaders.participants.load(conversation_id)


async def other_participant(context: Context, conversation_id: UUID) -> User | None:
    """Return the other participant in a conversation of two, even if removed; None in a group."""
    viewer = context.require_viewer()
    others = [
        each.user for each in await participants_of(context, conversation_id) if each.user.id != viewer.id
    ]
    return others[0] if len(others) == 1 else None


async def last_message(context: Context, conversation: Conversation) -> Message | None:
    """Return the newest message; None if there are none, or if it was deleted together with its author."""
    if conversation.last_seq == 0:
        return None
    newest = SeqRange(conversation.id, conversation.last_seq, conversation.last_seq)
    return next(iter(await context.loaders.ranges.load(newest)), None)


async def messages_of(
    context: Context,
    conversation: Conversation,
    *,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> MessagePage:
    """Return a page of the conversation's messages.

    Raises:
        BadUserInput: a page size is out of range, or `first` and `last` are both given.
        CursorInvalid: `after` or `before` is not a cursor.
    """
    page = numbered_page(
        conversation.last_seq,
        first=first,
        after=None if after is None else decode_page_cursor(after, "after"),
        last=last,
        before=None if before is None else decode_page_cursor(before, "before"),
    )
    found: Sequence[Message] = []
    if page.start <= page.end:
        found = await context.loaders.ranges.load(SeqRange(conversation.id, page.start, page.end))
    shown = MessagePage(found, page.has_previous, page.has_next)
    if len(found) < page.end - page.start + 1:
        shown = await _page_of_remaining(context, conversation.id, page)
    if "author" in context.selection:
        # With all authors loaded now, no message has to wait for its own.
        await context.loaders.users.load_many({message.author_id for message in shown.messages})
    return shown


def no_such_conversation() -> UserError:
    """Return the error for a conversation that does not exist or is not the viewer's."""
    return UserError(
        UserErrorCode.NOT_FOUND,
        "This conversation does not exist, or you are not part of it.",
        "conversationId",
    )


async def _page_of_remaining(context: Context, conversation_id: UUID, page: NumberedPage) -> MessagePage:
    """Return the page in a conversation with deleted messages, whose numbers have gaps."""
    async with context.reading() as connection:
        found = await messages.remaining(
            connection,
            conversation_id,
            after=page.after,
            before=page.before,
            limit=page.size,
            newest=page.is_from_end,
        )
    return MessagePage(found.messages, found.has_earlier, found.has_later)

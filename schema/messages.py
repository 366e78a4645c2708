"""Messages: sending them, and receiving them live."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry
from strawberry.utils.await_maybe import AwaitableOrValue

from db import records
from db.entries import MESSAGE_CREATED, InboxEntry
from db.prefetched import NOT_READ
from realtime.wanted import Wanted
from resolvers import conversations, edits, inbox, messages, read_marks
from resolvers.context import Context
from resolvers.errors import UserError as UserErrorRaised
from resolvers.look_ahead import MessageLookAhead
from schema.inbox_events import CURSOR, InboxEvent
from schema.info import Info
from schema.look_ahead import message_look_ahead
from schema.node import Node, NodeType
from schema.paging import PageInfo
from schema.user_errors import ONE_USER_ERROR, USER_ERRORS, UserError
from schema.users import User

if TYPE_CHECKING:
    from schema.conversations import Conversation


# A page has many messages of few authors.
_author_of = lru_cache(maxsize=256)(User.of)


@strawberry.type(description="A message in a conversation.")
class Message(Node):
    content: str = strawberry.field(
        description="Plain text of 1 to 480 characters (Unicode code points) with whitespace normalised:"
        " single spaces, no empty lines. Empty if the message has been deleted. Do not render it as HTML."
    )
    created_at: datetime = strawberry.field(
        description="When the server stored the message. Keep the order of the page instead of sorting by"
        " this time."
    )
    version: int = strawberry.field(
        description="Grows with every edit and with the deletion, from 1. Ignore a message with a lower"
        " version than the one that you have."
    )
    edited_at: datetime | None = strawberry.field(
        description="When the text was last edited; null if it is the one that was sent."
    )
    deleted_at: datetime | None = strawberry.field(
        description="When the message was deleted; null if it was not. A deleted message stays in its place,"
        " also as `lastMessage`, without content."
    )
    row: strawberry.Private[records.Message]
    ahead: strawberry.Private[MessageLookAhead | None] = None
    """What the selection needs; None if that has been read, or is that of an event."""

    @classmethod
    def of(cls, row: records.Message, ahead: MessageLookAhead | None = None) -> "Message":
        return cls(
            id=NodeType.MESSAGE.encode(row.id),
            content=row.content,
            created_at=row.created_at,
            version=row.version,
            edited_at=row.edited_at,
            deleted_at=row.deleted_at,
            row=row,
            ahead=ahead,
        )

    @classmethod
    def of_optional(
        cls, row: records.Message | None, ahead: MessageLookAhead | None = None
    ) -> "Message | None":
        return None if row is None else cls.of(row, ahead)

    def _ahead(self, context: Context) -> MessageLookAhead:
        return context.event_look_ahead if self.ahead is None else self.ahead

    @strawberry.field(graphql_type=User, description="The participant who sent the message.")
    def author(self, info: Info) -> AwaitableOrValue[User]:
        known = info.context.prefetched.users.get(self.row.author_id)
        return self._load_author(info.context) if known is None else _author_of(known)

    async def _load_author(self, context: Context) -> User:
        return User.of(await messages.author(context, self.row, self._ahead(context)))

    @strawberry.field(description="Whether the viewer sent the message.")
    def mine(self, info: Info) -> bool:
        return messages.is_mine(info.context, self.row)

    @strawberry.field(
        description="Whether the viewer can edit the message. Becomes false"
        " `serverInfo.limits.editSeconds` after `createdAt`, without an event."
    )
    def viewer_can_edit(self, info: Info) -> bool:
        return edits.can_edit(info.context, self.row)

    @strawberry.field(description="Whether the viewer can delete the message.")
    def viewer_can_delete(self, info: Info) -> bool:
        return edits.can_delete(info.context, self.row)

    @strawberry.field(
        graphql_type=bool,
        description="Whether the viewer's message has been read by at least one other participant, and by all"
        " of them who have not been removed. False on other users' messages, and in conversations with more"
        " than `serverInfo.limits.readMarksMaxParticipants` participants.",
    )
    def read_by_others(self, info: Info) -> AwaitableOrValue[bool]:
        if not messages.is_mine(info.context, self.row):
            return False
        known = info.context.prefetched.participants.get(self.row.conversation_id)
        if known is None:
            return self._load_read_by_others(info.context)
        return read_marks.is_read_by_others(info.context, self.row, known)

    async def _load_read_by_others(self, context: Context) -> bool:
        return read_marks.is_read_by_others(context, self.row, await self._participants(context))

    async def _participants(self, context: Context) -> Sequence[records.Participant]:
        return await read_marks.participants_of_message(context, self.row, self._ahead(context))

    @strawberry.field(
        graphql_type=list[User],
        description="The participants who have read the message, without its author, ordered by join time."
        " Empty in conversations with more than `serverInfo.limits.readMarksMaxParticipants` participants."
        " A `first` out of range fails with `BAD_USER_INPUT`.",
    )
    def read_by(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description="Maximum number of users: 1 to 100.")] = 10,
    ) -> AwaitableOrValue[list[User]]:
        known = info.context.prefetched.participants.get(self.row.conversation_id)
        if known is None:
            return self._load_read_by(info.context, first)
        return list(map(User.of, read_marks.read_by(info.context, self.row, known, first)))

    async def _load_read_by(self, context: Context, first: int) -> list[User]:
        participants = await self._participants(context)
        return list(map(User.of, read_marks.read_by(context, self.row, participants, first)))

    @strawberry.field(
        graphql_type=strawberry.ID | None,
        description="The `idempotencyKey` that the viewer sent the message with, as a lower-case UUID, to"
        " match it to a pending message. Null if it was sent without a key, or by another user.",
    )
    def idempotency_key(self, info: Info) -> AwaitableOrValue[strawberry.ID | None]:
        known = info.context.prefetched.idempotency_keys.get(self.row.id, NOT_READ)
        return self._load_idempotency_key(info.context) if known is NOT_READ else _key_of(known)

    async def _load_idempotency_key(self, context: Context) -> strawberry.ID | None:
        return _key_of(await messages.idempotency_key(context, self.row, self._ahead(context)))

    @strawberry.field(
        graphql_type=Annotated["Conversation", strawberry.lazy("schema.conversations")],
        description="The conversation that the message belongs to.",
    )
    def conversation(self, info: Info) -> AwaitableOrValue["Conversation"]:
        from schema.conversations import Conversation  # noqa: PLC0415  # the two types name each other

        known = info.context.prefetched.conversations.get(self.row.conversation_id)
        return self._load_conversation(info.context) if known is None else Conversation.of(known)

    async def _load_conversation(self, context: Context) -> "Conversation":
        from schema.conversations import Conversation  # noqa: PLC0415  # as above

        return Conversation.of(await conversations.of_message(context, self.row, self._ahead(context)))


def _key_of(key: UUID | None) -> strawberry.ID | None:
    return None if key is None else strawberry.ID(str(key))


@strawberry.type(description="A message in a page, with its cursor.")
class MessageEdge:
    cursor: str = strawberry.field(description="Opaque position of the message in its conversation.")
    node: Message = strawberry.field(description="The message.")


@strawberry.type(description="A page of a conversation's messages, oldest first.")
class MessageConnection:
    edges: list[MessageEdge] = strawberry.field(description="The messages on this page, oldest first.")
    page_info: PageInfo = strawberry.field(description="How to fetch the pages around this one.")


@strawberry.type
class MessageQueries:
    @strawberry.field(
        description="The current end of the viewer's inbox. Pass it to `inboxEvents(after:)` to receive"
        " everything that arrives after this query, or to `messageCreated(after:)` for messages only. Select"
        " it together with the data that you show."
    )
    async def inbox_cursor(self, info: Info) -> str:
        return await inbox.inbox_cursor(info.context)


@strawberry.input(description="A message to send.")
class CreateMessageInput:
    conversation_id: strawberry.ID = strawberry.field(description="ID of one of the viewer's conversations.")
    content: str = strawberry.field(
        description="The text: 1 to 480 characters (Unicode code points) after whitespace has been"
        " normalised."
    )
    idempotency_key: strawberry.ID | None = strawberry.field(
        default=None,
        description="A UUID that the client generates for each message, so that it can retry if it gets no"
        " response: sending a message again with the same key returns the stored message in its current"
        " state, instead of storing it twice. Using the key for a different message is `INVALID`.",
    )


@strawberry.type(description="The result of `createMessage`.")
class CreateMessagePayload:
    message: Message | None = strawberry.field(
        description="The stored message; if the idempotency key is repeated, the message stored first, which"
        " may have been edited or deleted since. Null if there are `userErrors`."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.type
class MessageMutations:
    @strawberry.mutation(
        description="Stores a message and delivers it to the inboxes of all participants. Also marks the"
        " conversation as read up to this message. User errors: `BLANK`, `TOO_LONG`, `INVALID`, `NOT_FOUND`."
        " If the viewer sends too many messages, it fails with `RATE_LIMITED`; retry after"
        " `extensions.retryAfter` seconds."
    )
    async def create_message(
        self,
        info: Info,
        input: Annotated[CreateMessageInput, strawberry.argument(description="The message to send.")],
    ) -> CreateMessagePayload:
        try:
            row = await messages.create_message(
                info.context,
                NodeType.CONVERSATION.decode(input.conversation_id),
                input.content,
                input.idempotency_key,
            )
        except UserErrorRaised as error:
            return CreateMessagePayload(message=None, user_errors=[UserError.of(error)])
        return CreateMessagePayload(
            message=Message.of(row, message_look_ahead(info, "message")), user_errors=[]
        )


@strawberry.type(description="A message that arrived in the viewer's inbox.")
class MessageCreated(InboxEvent):
    cursor: str = strawberry.field(  # pyright: ignore[reportIncompatibleVariableOverride]  # never written
        description="Opaque position of this event in the viewer's inbox, which is also the ID of the SSE"
        " event. To resume, pass the last one to `messageCreated(after:)` or `inboxEvents(after:)`."
    )
    message: Message = strawberry.field(description="The message.")

    @classmethod
    def of(cls, cursor: str, entry: InboxEntry) -> "MessageCreated":
        return cls(cursor=cursor, occurred_at=entry.created_at, message=_message_of(entry))


@strawberry.type(description="A message was edited.")
class MessageUpdated(InboxEvent):
    cursor: str = strawberry.field(  # pyright: ignore[reportIncompatibleVariableOverride]  # never written
        description=CURSOR
    )
    message: Message = strawberry.field(description="The message in its current state.")

    @classmethod
    def of(cls, cursor: str, entry: InboxEntry) -> "MessageUpdated":
        return cls(cursor=cursor, occurred_at=entry.created_at, message=_message_of(entry))


@strawberry.type(description="A message was deleted. It stays in its place, without content.")
class MessageDeleted(InboxEvent):
    cursor: str = strawberry.field(  # pyright: ignore[reportIncompatibleVariableOverride]  # never written
        description=CURSOR
    )
    message: Message = strawberry.field(description="The message in its current state.")

    @classmethod
    def of(cls, cursor: str, entry: InboxEntry) -> "MessageDeleted":
        return cls(cursor=cursor, occurred_at=entry.created_at, message=_message_of(entry))


def _message_of(entry: InboxEntry) -> Message:
    if entry.message is None:
        raise RuntimeError(f"the message {entry.subject_id} has not been read")
    return Message.of(entry.message)


@strawberry.type
class MessageSubscriptions:
    @strawberry.subscription(
        description="Messages in the viewer's inbox, in order, each exactly once. If `after` is no longer"
        " available, it fails with `CURSOR_EXPIRED`: fetch the conversations again, and subscribe from a new"
        " `inboxCursor`. When the session ends, it fails with `UNAUTHENTICATED`."
    )
    async def message_created(
        self,
        info: Info,
        after: Annotated[
            str | None,
            strawberry.argument(
                description="A cursor from `inboxCursor` or an earlier event. The messages after it are"
                " delivered first, then new ones. Without it, only new messages are delivered. A cursor of"
                " another user fails with `CURSOR_INVALID`."
            ),
        ] = None,
        include_mine: Annotated[
            bool,
            strawberry.argument(
                description="Whether to include the viewer's own messages, to keep several devices in sync."
            ),
        ] = False,
    ) -> AsyncGenerator[MessageCreated, None]:
        # A coroutine that returns the generator, so that a rejection is an error at the field's path.
        viewer = info.context.require_viewer()
        info.context.event_look_ahead = message_look_ahead(info, "message")
        wanted = Wanted(viewer.id, frozenset({MESSAGE_CREATED}), include_mine)
        return await inbox.follow_inbox(info.context, after, wanted, MessageCreated.of)

"""Conversations, as the viewer sees them."""

from typing import Annotated

import strawberry
from strawberry.utils.await_maybe import AwaitableOrValue

from db import records
from db.includes import MessageIncludes
from db.prefetched import NOT_READ
from resolvers import conversations, read_marks
from resolvers.context import Context
from resolvers.errors import UserError as UserErrorRaised
from resolvers.page_cursors import encode_page_cursor
from schema.info import Info
from schema.list_sizes import at_most
from schema.look_ahead import (
    conversation_includes,
    conversation_look_ahead,
    conversations_look_ahead,
    message_includes,
)
from schema.messages import Message, MessageConnection, MessageEdge
from schema.node import Node, NodeType
from schema.paging import PageInfo
from schema.user_errors import ONE_USER_ERROR, USER_ERRORS, UserError
from schema.users import User


@strawberry.type(description="A conversation, as the viewer sees it.")
class Conversation(Node):
    unread_count: int = strawberry.field(description="Number of messages that the viewer has not read.")
    has_unread_messages: bool = strawberry.field(description="Whether the viewer has unread messages.")
    row: strawberry.Private[records.Conversation]

    @classmethod
    def of(cls, row: records.Conversation) -> "Conversation":
        return cls(
            id=NodeType.CONVERSATION.encode(row.id),
            unread_count=row.unread_count,
            has_unread_messages=row.unread_count > 0,
            row=row,
        )

    @strawberry.field(
        graphql_type=list[User],
        description="All participants, including the viewer, ordered by join time.",
        metadata=at_most(conversations.MAX_PARTICIPANTS),
    )
    def participants(self, info: Info) -> AwaitableOrValue[list[User]]:
        known = info.context.prefetched.participants.get(self.row.id)
        if known is None:
            return self._load_participants(info.context)
        return [User.of(each.user) for each in known]

    async def _load_participants(self, context: Context) -> list[User]:
        return [User.of(each.user) for each in await conversations.participants_of(context, self.row.id)]

    @strawberry.field(
        graphql_type=User | None,
        description="The other participant in a conversation of two; null in a group. If that user has been"
        " removed, it has `removedAt`.",
    )
    def other_participant(self, info: Info) -> AwaitableOrValue[User | None]:
        known = info.context.prefetched.others.get(self.row.id, NOT_READ)
        if known is NOT_READ:
            return self._load_other_participant(info.context)
        return User.of_optional(known)

    async def _load_other_participant(self, context: Context) -> User | None:
        return User.of_optional(await conversations.other_participant(context, self.row.id))

    @strawberry.field(
        graphql_type=Message | None,
        description="The newest message; null if there are no messages, or if version 0.2 deleted it with its"
        " author.",
    )
    def last_message(self, info: Info) -> AwaitableOrValue[Message | None]:
        known = info.context.prefetched.last_messages.get(self.row.id, NOT_READ)
        if known is NOT_READ:
            return self._load_last_message(info.context, message_includes(info))
        return Message.of_optional(known)

    async def _load_last_message(self, context: Context, includes: MessageIncludes) -> Message | None:
        return Message.of_optional(await conversations.last_message(context, self.row, includes))

    @strawberry.field(
        description="A page of messages, oldest first. Without arguments, the page has the newest 25"
        " messages. To load the previous page, pass `pageInfo.startCursor` as `before`. Page sizes out of"
        " range fail with `BAD_USER_INPUT`, and invalid cursors with `CURSOR_INVALID`."
    )
    async def messages(
        self,
        info: Info,
        first: Annotated[
            int | None,
            strawberry.argument(
                description="Page size when paging forward: 1 to 100. Defaults to 25 if `after` is set."
                " Cannot be combined with `last`."
            ),
        ] = None,
        after: Annotated[
            str | None, strawberry.argument(description="Return only messages after this cursor.")
        ] = None,
        last: Annotated[
            int | None,
            strawberry.argument(
                description="Page size when paging backward: 1 to 100. Defaults to 25 unless `first` or"
                " `after` is set. Cannot be combined with `first`."
            ),
        ] = None,
        before: Annotated[
            str | None, strawberry.argument(description="Return only messages before this cursor.")
        ] = None,
    ) -> MessageConnection:
        page = await conversations.messages_of(
            info.context,
            self.row,
            first=first,
            after=after,
            last=last,
            before=before,
            includes=message_includes(info, "edges", "node"),
        )
        edges = [
            MessageEdge(cursor=encode_page_cursor(row.seq), node=Message.of(row)) for row in page.messages
        ]
        return MessageConnection(
            edges=edges,
            page_info=PageInfo.of(
                [edge.cursor for edge in edges], has_previous=page.has_previous, has_next=page.has_next
            ),
        )


@strawberry.type(description="A conversation in a page, with its cursor.")
class ConversationEdge:
    cursor: str = strawberry.field(
        description="Opaque position of the conversation in the viewer's list. It changes when a new message"
        " moves the conversation to the top, so identify conversations by their `id`."
    )
    node: Conversation = strawberry.field(description="The conversation.")


@strawberry.type(description="A page of the viewer's conversations, most recently active first.")
class ConversationConnection:
    edges: list[ConversationEdge] = strawberry.field(description="The conversations on this page.")
    page_info: PageInfo = strawberry.field(description="How to fetch the pages around this one.")


@strawberry.type
class ConversationQueries:
    @strawberry.field(
        description="The conversation with this ID, or null if it does not exist or the viewer is not a"
        " participant."
    )
    async def conversation(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="ID of the conversation.")],
    ) -> Conversation | None:
        row = await conversations.by_id(
            info.context, NodeType.CONVERSATION.decode(id), conversation_look_ahead(info)
        )
        return None if row is None else Conversation.of(row)

    @strawberry.field(
        description="The viewer's conversations that have at least one message, most recently active first."
        " To load the next page, pass `pageInfo.endCursor` as `after`."
    )
    async def conversations(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description="Page size: 1 to 100.")] = 25,
        after: Annotated[
            str | None, strawberry.argument(description="Return only conversations after this cursor.")
        ] = None,
    ) -> ConversationConnection:
        page = await conversations.recent(info.context, first, after, conversations_look_ahead(info))
        edges = [
            ConversationEdge(cursor=encode_page_cursor(row.last_position), node=Conversation.of(row))
            for row in page.conversations
        ]
        return ConversationConnection(
            edges=edges,
            page_info=PageInfo.of(
                [edge.cursor for edge in edges], has_previous=page.has_previous, has_next=page.has_next
            ),
        )


@strawberry.input(description="The user to open a conversation with.")
class CreateConversationInput:
    username: str = strawberry.field(description="Username of the other participant (case-insensitive).")


@strawberry.type(description="The result of `createConversation`.")
class CreateConversationPayload:
    conversation: Conversation | None = strawberry.field(
        description="The new or existing conversation; null if there are `userErrors`."
    )
    created: bool = strawberry.field(
        description="Whether the conversation is new to the viewer; false if they had opened it before, or it"
        " has messages."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.input(description="The messages to mark as read.")
class ReadMessagesInput:
    conversation_id: strawberry.ID = strawberry.field(description="ID of one of the viewer's conversations.")
    up_to_message_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="ID of the last message to mark as read; defaults to the conversation's last message.",
    )


@strawberry.type(description="The result of `readMessages`.")
class ReadMessagesPayload:
    conversation: Conversation | None = strawberry.field(
        description="The conversation with its new unread count; null if there are `userErrors`."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.type
class ConversationMutations:
    @strawberry.mutation(
        description="Opens a conversation with a user, or returns the existing one. It appears in"
        " `conversations` after its first message. New conversations have a rate limit of their own. User"
        " errors: `BLANK`, `NOT_FOUND`, `SELF`."
    )
    async def create_conversation(
        self,
        info: Info,
        input: Annotated[
            CreateConversationInput,
            strawberry.argument(description="The user to open a conversation with."),
        ],
    ) -> CreateConversationPayload:
        try:
            row, created = await conversations.create_conversation(
                info.context, input.username, conversation_includes(info, "conversation")
            )
        except UserErrorRaised as error:
            return CreateConversationPayload(
                conversation=None, created=False, user_errors=[UserError.of(error)]
            )
        return CreateConversationPayload(conversation=Conversation.of(row), created=created, user_errors=[])

    @strawberry.mutation(
        description="Marks a conversation as read, up to a message or up to its last one. Messages that have"
        " been read cannot become unread again. User errors: `NOT_FOUND`."
    )
    async def read_messages(
        self,
        info: Info,
        input: Annotated[ReadMessagesInput, strawberry.argument(description="The messages to mark as read.")],
    ) -> ReadMessagesPayload:
        up_to = input.up_to_message_id
        try:
            row = await read_marks.read_messages(
                info.context,
                NodeType.CONVERSATION.decode(input.conversation_id),
                None if up_to is None else NodeType.MESSAGE.decode(up_to),
                whole=up_to is None,
            )
        except UserErrorRaised as error:
            return ReadMessagesPayload(conversation=None, user_errors=[UserError.of(error)])
        return ReadMessagesPayload(conversation=Conversation.of(row), user_errors=[])

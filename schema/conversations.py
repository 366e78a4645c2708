"""Conversations, as the viewer sees them."""

from typing import Annotated

import strawberry
from strawberry.utils.await_maybe import AwaitableOrValue

from db import records
from resolvers import conversations
from resolvers.context import Context
from resolvers.errors import UserError as UserErrorRaised
from resolvers.page_cursors import encode_page_cursor
from schema.info import Info
from schema.list_sizes import at_most
from schema.messages import Message, MessageConnection, MessageEdge
from schema.node import Node, NodeType
from schema.paging import PageInfo
from schema.user_errors import ONE_USER_ERROR, USER_ERRORS, UserError
from schema.users import User

# What a page of conversations shows is read with it, by one statement; the snapshot that further statements
# would have to share is begun and ended by two more.
_READ_WITH_PAGE = frozenset(
    {
        *("edges", "cursor", "node", "id", "unreadCount", "hasUnreadMessages", "__typename"),
        *("pageInfo", "hasPreviousPage", "hasNextPage", "startCursor", "endCursor"),
        *("otherParticipant", "username", "avatarUrl"),
        *("lastMessage", "content", "createdAt", "mine"),
    }
)


@strawberry.type(description="A conversation, as the viewer sees it.")
class Conversation(Node):
    """A conversation that the viewer takes part in."""

    unread_count: int = strawberry.field(description="How many messages the viewer has not read yet.")
    has_unread_messages: bool = strawberry.field(description="Whether there is one the viewer has not read.")
    row: strawberry.Private[records.Conversation]
    recent: strawberry.Private[records.RecentConversation | None] = None
    """What was read together with the row, if it was."""

    @classmethod
    def of(
        cls, row: records.Conversation, recent: records.RecentConversation | None = None
    ) -> "Conversation":
        """Show a row."""
        return cls(
            id=NodeType.CONVERSATION.encode(row.id),
            unread_count=row.unread_count,
            has_unread_messages=row.unread_count > 0,
            row=row,
            recent=recent,
        )

    @strawberry.field(
        description="Everybody who takes part, the viewer included; by when they joined.",
        metadata=at_most(conversations.MAX_PARTICIPANTS),
    )
    async def participants(self, info: Info) -> list[User]:
        """Resolve the field."""
        return [User.of(each.user) for each in await conversations.participants_of(info.context, self.row.id)]

    @strawberry.field(
        graphql_type=User | None,
        description="The other person in a conversation of two; null in a group.",
    )
    def other_participant(self, info: Info) -> AwaitableOrValue[User | None]:
        """Resolve the field."""
        if self.recent is None:
            return self._load_other_participant(info.context)
        return User.of_optional(self.recent.other)

    async def _load_other_participant(self, context: Context) -> User | None:
        return User.of_optional(await conversations.other_participant(context, self.row.id))

    @strawberry.field(
        graphql_type=Message | None, description="The newest message; null when nothing has been written yet."
    )
    def last_message(self, info: Info) -> AwaitableOrValue[Message | None]:
        """Resolve the field."""
        if self.recent is None:
            return self._load_last_message(info.context)
        return Message.of_optional(self.recent.last_message)

    async def _load_last_message(self, context: Context) -> Message | None:
        return Message.of_optional(await conversations.last_message(context, self.row))

    @strawberry.field(
        description="Oldest first. Without `first` or `last`: the last 25, or with `after` the next 25."
    )
    async def messages(
        self,
        info: Info,
        first: Annotated[
            int | None,
            strawberry.argument(description="Page forward: at most how many, 1 to 100. Not with `last`."),
        ] = None,
        after: Annotated[
            str | None, strawberry.argument(description="Only messages after this edge's cursor.")
        ] = None,
        last: Annotated[
            int | None,
            strawberry.argument(description="Page backward: at most how many, 1 to 100. Not with `first`."),
        ] = None,
        before: Annotated[
            str | None, strawberry.argument(description="Only messages before this edge's cursor.")
        ] = None,
    ) -> MessageConnection:
        """Resolve the field."""
        page = await conversations.messages_of(
            info.context, self.row, first=first, after=after, last=last, before=before
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


@strawberry.type(description="A conversation at its place in a page.")
class ConversationEdge:
    """Relay's edge."""

    cursor: str = strawberry.field(
        description="This conversation's place in the viewer's list, opaque. A new message moves it to the"
        " top."
    )
    node: Conversation = strawberry.field(description="The conversation.")


@strawberry.type(description="A page of the viewer's conversations, the most recently active first.")
class ConversationConnection:
    """Relay's connection."""

    edges: list[ConversationEdge] = strawberry.field(description="The conversations of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")


@strawberry.type
class ConversationQueries:
    """The part of Query that is about conversations."""

    @strawberry.field(
        description="One of the viewer's conversations; null for what does not exist or is not theirs."
    )
    async def conversation(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Conversation | None:
        """Resolve the field."""
        row = await conversations.by_id(info.context, NodeType.CONVERSATION.decode(id))
        return None if row is None else Conversation.of(row)

    @strawberry.field(description="Conversations that have a message, the most recently active first.")
    async def conversations(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description="At most how many: 1 to 100.")] = 25,
        after: Annotated[
            str | None, strawberry.argument(description="Only conversations after this edge's cursor.")
        ] = None,
    ) -> ConversationConnection:
        """Resolve the field."""
        alone = after is None and info.context.selection.is_only("conversations", _READ_WITH_PAGE)
        page = await conversations.recent(info.context, first, after, alone=alone)
        edges = [
            ConversationEdge(
                cursor=encode_page_cursor(recent.conversation.last_position),
                node=Conversation.of(recent.conversation, recent),
            )
            for recent in page.conversations
        ]
        return ConversationConnection(
            edges=edges,
            page_info=PageInfo.of(
                [edge.cursor for edge in edges], has_previous=page.has_previous, has_next=page.has_next
            ),
        )


@strawberry.input(description="Whom to open a conversation with.")
class CreateConversationInput:
    """The other person."""

    username: str = strawberry.field(description="The other person's name, in any case.")


@strawberry.type(description="What became of `createConversation`.")
class CreateConversationPayload:
    """The conversation, or why there is none."""

    conversation: Conversation | None = strawberry.field(
        description="The conversation, new or not; null with `userErrors`."
    )
    created: bool = strawberry.field(description="Whether it is new; false when there was one already.")
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.input(description="What has been read.")
class ReadMessagesInput:
    """A conversation, and how far."""

    conversation_id: strawberry.ID = strawberry.field(description="One of the viewer's conversations.")
    up_to_message_id: strawberry.ID | None = strawberry.field(
        default=None, description="The last message that was read; without it, the conversation's last."
    )


@strawberry.type(description="What became of `readMessages`.")
class ReadMessagesPayload:
    """The conversation as marked, or why it was not."""

    conversation: Conversation | None = strawberry.field(
        description="The conversation with its new unread count; null with `userErrors`."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.type
class ConversationMutations:
    """The part of Mutation that is about conversations."""

    @strawberry.mutation(
        description="Opens the conversation with that user; when there is one already, returns it. It shows"
        " in `conversations` once it has a message."
    )
    async def create_conversation(
        self,
        info: Info,
        input: Annotated[CreateConversationInput, strawberry.argument(description="Whom to write to.")],
    ) -> CreateConversationPayload:
        """Resolve the field."""
        try:
            row, created = await conversations.create_conversation(info.context, input.username)
        except UserErrorRaised as error:
            return CreateConversationPayload(
                conversation=None, created=False, user_errors=[UserError.of(error)]
            )
        return CreateConversationPayload(conversation=Conversation.of(row), created=created, user_errors=[])

    @strawberry.mutation(
        description="Marks the conversation read up to that message, or up to its last one. The mark never"
        " moves back."
    )
    async def read_messages(
        self,
        info: Info,
        input: Annotated[ReadMessagesInput, strawberry.argument(description="What has been read.")],
    ) -> ReadMessagesPayload:
        """Resolve the field."""
        up_to = input.up_to_message_id
        try:
            row = await conversations.read_messages(
                info.context,
                NodeType.CONVERSATION.decode(input.conversation_id),
                None if up_to is None else NodeType.MESSAGE.decode(up_to),
                whole=up_to is None,
            )
        except UserErrorRaised as error:
            return ReadMessagesPayload(conversation=None, user_errors=[UserError.of(error)])
        return ReadMessagesPayload(conversation=Conversation.of(row), user_errors=[])

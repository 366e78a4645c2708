"""Messages: writing them, and hearing of them."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry.utils.await_maybe import AwaitableOrValue

from db import records
from resolvers import conversations, inbox, messages
from resolvers.context import Context
from resolvers.errors import UserError as UserErrorRaised
from schema.info import Info
from schema.node import Node, NodeType
from schema.paging import PageInfo
from schema.user_errors import ONE_USER_ERROR, USER_ERRORS, UserError
from schema.users import User

if TYPE_CHECKING:
    from schema.conversations import Conversation


@strawberry.type(description="What a participant wrote in a conversation.")
class Message(Node):
    """A message, as one of the participants sees it."""

    content: str = strawberry.field(
        description="1 to 480 characters (Unicode code points), white space normalised: single spaces,"
        " no empty lines. Plain text: show it as such."
    )
    created_at: datetime = strawberry.field(description="When the server stored it.")
    row: strawberry.Private[records.Message]

    @classmethod
    def of(cls, row: records.Message) -> "Message":
        """Show a row."""
        return cls(
            id=NodeType.MESSAGE.encode(row.id), content=row.content, created_at=row.created_at, row=row
        )

    @classmethod
    def of_optional(cls, row: records.Message | None) -> "Message | None":
        """Show a row, if there is one."""
        return None if row is None else cls.of(row)

    @strawberry.field(graphql_type=User, description="The participant who wrote it.")
    def author(self, info: Info) -> AwaitableOrValue[User]:
        """Resolve the field."""
        known = messages.known_author(info.context, self.row)
        return self._load_author(info.context) if known is None else User.of(known)

    async def _load_author(self, context: Context) -> User:
        return User.of(await messages.author(context, self.row))

    @strawberry.field(description="Whether the viewer wrote it.")
    def mine(self, info: Info) -> bool:
        """Resolve the field."""
        return messages.is_mine(info.context, self.row)

    @strawberry.field(
        description="Whether every other participant has read up to it; false on what somebody else wrote."
    )
    async def read_by_others(self, info: Info) -> bool:
        """Resolve the field."""
        return await messages.is_read_by_others(info.context, self.row)

    @strawberry.field(
        description="The key its author sent it with, a UUID in lower case; null to everybody else. It tells"
        " a client which of the messages that it is sending this one is."
    )
    async def idempotency_key(self, info: Info) -> strawberry.ID | None:
        """Resolve the field."""
        key = await messages.idempotency_key(info.context, self.row)
        return None if key is None else strawberry.ID(str(key))

    @strawberry.field(description="The conversation it was written in.")
    async def conversation(
        self, info: Info
    ) -> Annotated["Conversation", strawberry.lazy("schema.conversations")]:
        """Resolve the field."""
        from schema.conversations import Conversation  # noqa: PLC0415  # the two types name each other

        return Conversation.of(await conversations.of_message(info.context, self.row))


@strawberry.type(description="A message at its place in a page.")
class MessageEdge:
    """Relay's edge."""

    cursor: str = strawberry.field(description="This message's place in its conversation, opaque.")
    node: Message = strawberry.field(description="The message.")


@strawberry.type(description="A page of a conversation's messages, oldest first.")
class MessageConnection:
    """Relay's connection."""

    edges: list[MessageEdge] = strawberry.field(description="The messages of this page, oldest first.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the conversation.")


@strawberry.type
class MessageQueries:
    """The part of Query that is about messages."""

    @strawberry.field(
        description="Where the viewer's inbox stands now: hand it to `messageCreated(after:)` and nothing"
        " between this query and the subscription is missed."
    )
    async def inbox_cursor(self, info: Info) -> str:
        """Resolve the field."""
        return await inbox.inbox_cursor(info.context)


@strawberry.input(description="A message to send.")
class CreateMessageInput:
    """What to say, and where."""

    conversation_id: strawberry.ID = strawberry.field(description="One of the viewer's conversations.")
    content: str = strawberry.field(
        description="The text: 1 to 480 characters once white space is normalised."
    )
    idempotency_key: strawberry.ID | None = strawberry.field(
        default=None,
        description="Chosen by the client, a UUID: the same key twice is one message, also after a lost"
        " response. With it, sending again is always safe.",
    )


@strawberry.type(description="What became of `createMessage`.")
class CreateMessagePayload:
    """The stored message, or why it was not stored."""

    message: Message | None = strawberry.field(
        description="The message as stored; for a repeated idempotency key the first one. Null with"
        " `userErrors`."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.type
class MessageMutations:
    """The part of Mutation that is about messages."""

    @strawberry.mutation(
        description="Stores the message and delivers it to every participant's inbox. Sending also marks"
        " the conversation read up to one's own message."
    )
    async def create_message(
        self,
        info: Info,
        input: Annotated[CreateMessageInput, strawberry.argument(description="What to send, and where.")],
    ) -> CreateMessagePayload:
        """Resolve the field."""
        try:
            row = await messages.create_message(
                info.context,
                NodeType.CONVERSATION.decode(input.conversation_id),
                input.content,
                input.idempotency_key,
            )
        except UserErrorRaised as error:
            return CreateMessagePayload(message=None, user_errors=[UserError.of(error)])
        return CreateMessagePayload(message=Message.of(row), user_errors=[])


@strawberry.type(description="A message that entered the viewer's inbox.")
class MessageCreated:
    """One event of the subscription."""

    cursor: str = strawberry.field(
        description="This event's place in the viewer's inbox, opaque; also the SSE event's id. Keep the"
        " last one and hand it to `messageCreated(after:)` when you come back."
    )
    message: Message = strawberry.field(description="The message.")

    @classmethod
    def of(cls, cursor: str, row: records.Message) -> "MessageCreated":
        """Show a row at its place."""
        return cls(cursor=cursor, message=Message.of(row))


@strawberry.type
class MessageSubscriptions:
    """The part of Subscription that is about messages."""

    @strawberry.subscription(
        description="Messages as they enter the viewer's inbox, in order, each once. With `CURSOR_EXPIRED`,"
        " fetch the conversations again and subscribe from a new `inboxCursor`."
    )
    async def message_created(
        self,
        info: Info,
        after: Annotated[
            str | None,
            strawberry.argument(
                description="A cursor from `inboxCursor` or from an earlier event: everything since is"
                " delivered first, then what is new. Without it: only what is new."
            ),
        ] = None,
        include_mine: Annotated[
            bool,
            strawberry.argument(description="Also the viewer's own messages, for a second device."),
        ] = False,
    ) -> AsyncGenerator[MessageCreated, None]:
        """Resolve the field: attach, then return the events.

        A coroutine that returns the generator: what it refuses is an error at the field's path.
        """
        return await inbox.message_created(
            info.context, after, include_mine=include_mine, event_of=MessageCreated.of
        )

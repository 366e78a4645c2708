"""Editing and deleting messages."""

from typing import Annotated

import strawberry

from resolvers import edits
from resolvers.errors import UserError as UserErrorRaised
from schema.info import Info
from schema.look_ahead import message_look_ahead
from schema.messages import Message
from schema.node import NodeType
from schema.user_errors import ONE_USER_ERROR, USER_ERRORS, UserError


@strawberry.input(description="A message's new text.")
class UpdateMessageInput:
    message_id: strawberry.ID = strawberry.field(description="ID of one of the viewer's messages.")
    content: str = strawberry.field(
        description="The text: 1 to 480 characters (Unicode code points) after whitespace has been"
        " normalised."
    )
    expected_version: int | None = strawberry.field(
        default=None,
        description="The `version` that the user has edited. If the message has another one and another text,"
        " the edit fails with `CONFLICT`. Versions below 1 are `INVALID`. Without it, the last edit wins.",
    )


@strawberry.type(description="The result of `updateMessage`.")
class UpdateMessagePayload:
    message: Message | None = strawberry.field(
        description="The edited message; with `CONFLICT`, the current message, so that the texts can be"
        " compared. Null if there are other `userErrors`."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.input(description="The message to delete.")
class DeleteMessageInput:
    message_id: strawberry.ID = strawberry.field(description="ID of one of the viewer's messages.")


@strawberry.type(description="The result of `deleteMessage`.")
class DeleteMessagePayload:
    message: Message | None = strawberry.field(
        description="The message, with `deletedAt` and without content; null if there are `userErrors`."
    )
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS, metadata=ONE_USER_ERROR)


@strawberry.type
class EditMutations:
    @strawberry.mutation(
        description="Changes the text of one of the viewer's messages. This is possible for"
        " `serverInfo.limits.editSeconds` after it was sent. An edit to the text that the message already has"
        " succeeds and changes nothing. User errors: `BLANK`, `TOO_LONG`, `INVALID`, `NOT_FOUND`,"
        " `NOT_ALLOWED`, `CONFLICT`, `TOO_LATE`. An edit counts as a sent message for `RATE_LIMITED`."
    )
    async def update_message(
        self,
        info: Info,
        input: Annotated[UpdateMessageInput, strawberry.argument(description="The new text.")],
    ) -> UpdateMessagePayload:
        try:
            row = await edits.update_message(
                info.context,
                NodeType.MESSAGE.decode(input.message_id),
                input.content,
                input.expected_version,
            )
        except UserErrorRaised as error:
            return UpdateMessagePayload(
                message=Message.of_optional(error.message_row, message_look_ahead(info, "message")),
                user_errors=[UserError.of(error)],
            )
        return UpdateMessagePayload(
            message=Message.of(row, message_look_ahead(info, "message")), user_errors=[]
        )

    @strawberry.mutation(
        description="Deletes one of the viewer's messages for all participants. It stays in its place,"
        " without content and no longer unread. Deleting it again changes nothing. User errors: `NOT_FOUND`,"
        " `NOT_ALLOWED`."
    )
    async def delete_message(
        self,
        info: Info,
        input: Annotated[DeleteMessageInput, strawberry.argument(description="The message to delete.")],
    ) -> DeleteMessagePayload:
        try:
            row = await edits.delete_message(info.context, NodeType.MESSAGE.decode(input.message_id))
        except UserErrorRaised as error:
            return DeleteMessagePayload(message=None, user_errors=[UserError.of(error)])
        return DeleteMessagePayload(
            message=Message.of(row, message_look_ahead(info, "message")), user_errors=[]
        )

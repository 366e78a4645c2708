"""Read marks: how far the participants of a conversation have read."""

from datetime import datetime

import strawberry

from db import records
from db.entries import InboxEntry
from resolvers import read_marks
from schema.conversations import Conversation
from schema.inbox_events import CURSOR, InboxEvent
from schema.info import Info
from schema.look_ahead import conversation_includes, message_includes
from schema.messages import Message
from schema.users import User


@strawberry.type(description="A user's part in a conversation.")
class Participant:
    user: User = strawberry.field(description="The user.")
    joined_at: datetime = strawberry.field(description="When the user joined the conversation.")

    row: strawberry.Private[records.Participant]

    @classmethod
    def of(cls, row: records.Participant) -> "Participant":
        return cls(user=User.of(row.user), joined_at=row.joined_at, row=row)

    @strawberry.field(
        description="The last message that the user has read; null if there is none, if version 0.2"
        " deleted it with its author, or if read marks are not shared, unless the user is the viewer."
    )
    async def last_read_message(self, info: Info) -> Message | None:
        row = await read_marks.last_read_message(info.context, self.row, message_includes(info))
        return Message.of_optional(row)


@strawberry.type(
    description="A participant, or the viewer on another device, has read further. Sending a message moves"
    " its author's mark without an event of its own. In conversations too large to share read marks, only the"
    " viewer's own are sent."
)
class ReadMarkMoved(InboxEvent):
    cursor: str = strawberry.field(  # pyright: ignore[reportIncompatibleVariableOverride]  # never written
        description=CURSOR
    )
    entry: strawberry.Private[InboxEntry]

    @classmethod
    def of(cls, cursor: str, entry: InboxEntry) -> "ReadMarkMoved":
        return cls(cursor=cursor, occurred_at=entry.created_at, entry=entry)

    @strawberry.field(description="The conversation in its current state, with the viewer's unread count.")
    async def conversation(self, info: Info) -> Conversation:
        row = await read_marks.conversation_of_event(info.context, self.entry, conversation_includes(info))
        return Conversation.of(row)

    @strawberry.field(description="The participant who read the messages, in its current state.")
    async def participant(self, info: Info) -> Participant:
        return Participant.of(await read_marks.participant_of_event(info.context, self.entry))

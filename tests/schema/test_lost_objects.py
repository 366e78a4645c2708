"""What an event is about, when the database has lost it since the event was read."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from db.engine import Database
from db.entries import READ_MARK_MOVED, InboxEntry
from db.ids import new_id
from db.includes import NO_CONVERSATION_INCLUDES
from db.records import Message
from realtime.broadcaster import Broadcaster
from resolvers import conversations, messages, read_marks, users
from resolvers.context import Context
from resolvers.errors import Unavailable
from resolvers.look_ahead import NO_MESSAGE_LOOK_AHEAD
from tests.conftest import PersonMaker

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGE = Message(new_id(), new_id(), 1, new_id(), "lost", NOW)
ENTRY = InboxEntry(1, READ_MARK_MOVED, new_id(), new_id(), None, NOW)


Read = Callable[[Context], Awaitable[object]]
READS: dict[str, Read] = {
    "conversation": lambda context: conversations.of_message(context, MESSAGE, NO_MESSAGE_LOOK_AHEAD),
    "author": lambda context: messages.author(context, MESSAGE, NO_MESSAGE_LOOK_AHEAD),
    "conversation of a read mark": lambda context: read_marks.conversation_of_event(
        context, ENTRY, NO_CONVERSATION_INCLUDES
    ),
    "participant": lambda context: read_marks.participant_of_event(context, ENTRY),
    "user": lambda context: users.of_event(context, new_id()),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
async def test_an_event_about_something_lost_ends_its_stream(
    database: Database, person: PersonMaker, read: Read
):
    """With UNAVAILABLE, after which the client comes back with its cursor."""
    ada = await person("ada")
    async with Context(database, Broadcaster(), viewer=ada) as context:
        with pytest.raises(Unavailable):
            await read(context)

"""A stream can last for months, so its events must not accumulate anything."""

import asyncio
import gc
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID, uuid4

from graphql.execution.collect_fields import CollectedFields

from db.engine import Database
from db.entries import InboxEntry, Place
from db.records import Message
from execution.api import Api
from realtime.broadcaster import Broadcaster
from realtime.followed_inbox import FollowedInbox
from realtime.hints import Hint
from resolvers.context import Context
from tests.conftest import PersonMaker


class NoStream:
    """Ignores everything that a stream would send."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.knows_caught_up = False

    async def begin(self, cursor: str) -> None:
        self.begun.set()

    def resume_at_once(self, inbox: FollowedInbox) -> bool:
        return False

    def reach(self, place: Place, cursor: str) -> None:
        pass

    def caught_up(self, inbox: FollowedInbox) -> bool:
        return False

    @property
    def led_inbox(self) -> None:
        return


def hint(user_id: UUID, position: int) -> Hint:
    message = Message(uuid4(), uuid4(), position, uuid4(), "hello", datetime.now(UTC))
    return Hint(user_id, InboxEntry.of_message(position, message))


def kept() -> int:
    gc.collect()
    return sum(isinstance(each, CollectedFields) for each in gc.get_objects())


async def test_a_subscription_retains_nothing_of_its_executed_events(database: Database, person: PersonMaker):
    ada = await person("ada")
    broadcaster = Broadcaster()
    api = Api()
    operation = await api.operation(
        "subscription { messageCreated { message { content } } }", None, {}, "request"
    )
    stream = NoStream()
    counts: list[int] = []
    async with (
        Context(database, broadcaster, viewer=ada, stream=stream) as context,
        aclosing(api.stream(operation, context)) as answers,
    ):
        next_answer = asyncio.ensure_future(anext(answers))
        await stream.begun.wait()
        for position in range(1, 51):
            broadcaster.publish([hint(ada.id, position)])
            assert await next_answer == {"data": {"messageCreated": {"message": {"content": "hello"}}}}
            counts.append(kept())
            next_answer = asyncio.ensure_future(anext(answers))
        next_answer.cancel()
        await asyncio.wait([next_answer])
    assert counts[-1] == counts[10]

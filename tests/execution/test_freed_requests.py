"""What a request has read is freed when the request is over, without the garbage collector."""

import asyncio
import gc
from collections.abc import Generator
from uuid import uuid4
from weakref import ref

import pytest

from db.engine import Database
from db.includes import NO_CONVERSATION_INCLUDES, NO_MESSAGE_INCLUDES
from db.prefetched import SeqRange
from realtime.broadcaster import Broadcaster
from resolvers.context import Context
from tests.execution.test_statements_of_queries import user_with_conversations


@pytest.fixture
def without_garbage_collection() -> Generator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_garbage_collection")
async def test_loaders_are_freed_when_their_request_is_over(database: Database):
    viewer = await user_with_conversations(database, 1)
    async with Context(database, Broadcaster(), viewer=viewer) as context:
        loaders = context.loaders
        nothing = uuid4()
        await asyncio.gather(
            loaders.users.load(viewer.id),
            loaders.conversations(NO_CONVERSATION_INCLUDES).load(nothing),
            loaders.messages(NO_MESSAGE_INCLUDES).load(nothing),
            loaders.ranges(NO_MESSAGE_INCLUDES).load(SeqRange(nothing, 1, 1)),
            loaders.idempotency_keys.load(nothing),
            loaders.participants.load(nothing),
        )
        freed = ref(loaders)
        del loaders
        # The tasks of the loaders end.
        await asyncio.sleep(0)
    assert freed() is None

"""What a server deletes about once an hour."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from db import removals
from db.engine import Database
from db.records import User
from realtime.tasks import running
from server.process import trimming
from tests.support.serving import eventually_async

PersonMaker = Callable[[str], Awaitable[User]]


async def test_a_server_finishes_a_removal_that_was_interrupted(
    database: Database, person: PersonMaker, monkeypatch: pytest.MonkeyPatch
):
    ada = await person("ada")
    async with database.transaction() as connection:
        assert await removals.remove(connection, ada.id)

    async def has_entries() -> bool:
        async with database.connection() as connection:
            return bool(await connection.fetch("SELECT FROM inbox_entries WHERE user_id = $1", ada.id))

    async def has_none() -> bool:
        return not await has_entries()

    assert await has_entries()
    monkeypatch.setattr(trimming, "_EVERY_SECONDS", 0.01)
    async with running(trimming.keep_trimming(database, timedelta(days=30)), "trimming"):
        await eventually_async(has_none)

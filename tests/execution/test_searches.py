"""Looking through an inbox for events of a rare kind is charged to the budget."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from db import inboxes
from db.engine import Database
from db.entries import MESSAGE_CREATED, USER_UPDATED
from db.records import User
from realtime.broadcaster import Broadcaster
from realtime.cursors import InboxCursor
from resolvers import inbox
from resolvers.context import Context
from resolvers.errors import RateLimited
from tests.db.changed_users import picture, talk

PersonMaker = Callable[[str], Awaitable[User]]
MESSAGES = 3000


@pytest.fixture
async def ada(database: Database, person: PersonMaker) -> User:
    """A user with many messages in their inbox, and a changed profile at its end."""
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    async with database.connection() as connection:
        for _ in range(MESSAGES // 100):
            batch = [inboxes.Outgoing(conversation, grace.id, "hello")] * 100
            await inboxes.deliver_all(connection, batch)
    await picture(database, ada, "https://pictures.example/ada.png")
    return ada


async def beginning(database: Database, user_id: UUID) -> str:
    async with database.connection() as connection:
        state = await inboxes.state(connection, user_id)
    return InboxCursor(state.epoch, 0).encode(user_id)


@pytest.mark.parametrize("first", [1, 100])
async def test_all_entries_that_a_page_has_looked_at_are_charged(database: Database, ada: User, first: int):
    charged: list[float] = []
    async with Context(database, Broadcaster(), viewer=ada, charge=charged.append) as context:
        after = await beginning(database, ada.id)
        page = await inbox.page(context, after, first=first, kinds=frozenset({USER_UPDATED}))
        assert [entry.kind for _, entry in page.entries] == [USER_UPDATED]
        assert sum(charged) == pytest.approx((MESSAGES + 1) / 10 + 1)
        # A kind that is not rare costs as much as it finds.
        charged.clear()
        page = await inbox.page(context, after, first=first, kinds=frozenset({MESSAGE_CREATED}))
        assert len(page.entries) == first
        assert charged == [first / 10 + first]


async def test_a_page_ends_when_nothing_is_left_of_the_budget(database: Database, ada: User):
    charged: list[float] = []

    def charge(work: float) -> None:
        charged.append(work)
        if len(charged) == 2:
            raise RateLimited("You have used up the budget.", 1)

    async with Context(database, Broadcaster(), viewer=ada, charge=charge) as context:
        after = await beginning(database, ada.id)
        with pytest.raises(RateLimited):
            await inbox.page(context, after, first=100, kinds=frozenset({USER_UPDATED}))
    assert charged == [10, 40]

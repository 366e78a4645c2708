"""Pages of messages follow Relay's specification, with and without gaps in the numbers of messages."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from db import conversations, inboxes, message_pages
from db.asked_pages import AskedPage, MessagePage
from db.engine import Database
from db.inboxes import Outgoing
from db.includes import NO_CONVERSATION_INCLUDES, NO_MESSAGE_INCLUDES
from db.prefetched import Prefetched
from tests.conftest import PersonMaker

END = 2**63 - 1


class Talk:
    """A conversation, of which messages have been deleted together with their author."""

    def __init__(self, database: Database, viewer: UUID, conversation_id: UUID) -> None:
        self._database = database
        self._viewer = viewer
        self._id = conversation_id

    @classmethod
    async def make(cls, database: Database, person: PersonMaker, sent: int, gaps: Sequence[int]) -> "Talk":
        ada, grace = await person("ada"), await person("grace")
        async with database.transaction() as connection:
            conversation_id, _ = await conversations.open_pair(connection, ada.id, grace.id)
            if sent:
                await inboxes.deliver_all(connection, [Outgoing(conversation_id, ada.id, "hello")] * sent)
            await connection.execute(
                "DELETE FROM messages WHERE conversation_id = $1 AND seq = ANY($2::bigint[])",
                conversation_id,
                gaps,
            )
        return cls(database, ada.id, conversation_id)

    async def pages(self, asked: Sequence[AskedPage]) -> Sequence[MessagePage]:
        """Return the pages, which are the same with their conversation and alone."""
        both = [
            (await self._read(asked, is_from_end=is_from_end), is_from_end) for is_from_end in (False, True)
        ]
        alone = {page: found for pages, _ in both for page, found in pages.items()}
        async with self._database.snapshot() as connection:
            for each in asked:
                found = Prefetched()
                await conversations.with_page(
                    connection,
                    self._viewer,
                    self._id,
                    each,
                    includes=NO_CONVERSATION_INCLUDES,
                    of_messages=NO_MESSAGE_INCLUDES,
                    prefetched=found,
                )
                assert found.pages == {(self._id, each): alone[each]}
        return [alone[each] for each in asked]

    async def _read(self, asked: Sequence[AskedPage], *, is_from_end: bool) -> dict[AskedPage, MessagePage]:
        chosen = [each for each in asked if each.is_from_end == is_from_end]
        async with self._database.snapshot() as connection:
            pages = await message_pages.pages(
                connection,
                self._viewer,
                [(self._id, each) for each in chosen],
                is_from_end=is_from_end,
                prefetched=Prefetched(),
            )
        return dict(zip(chosen, pages, strict=True))


@pytest.mark.parametrize(
    ("sent", "gaps"),
    [(0, []), (1, []), (7, []), (7, [1, 2]), (7, [6, 7]), (7, [3, 4]), (7, [1, 4, 7]), (3, [1, 2, 3])],
)
async def test_pages_follow_the_relay_specification(
    database: Database, person: PersonMaker, sent: int, gaps: Sequence[int]
):
    talk = await Talk.make(database, person, sent, gaps)
    numbers = [number for number in range(1, sent + 1) if number not in gaps]
    asked = [
        AskedPage(size, is_from_end, after, before)
        for size in (1, 2, 5, 100)
        for is_from_end in (False, True)
        for after in (0, 1, 2, 4, 6, 7, 9, END)
        for before in (1, 2, 4, 6, 7, 8, END)
    ]
    for page, found in zip(asked, await talk.pages(asked), strict=True):
        between = [number for number in numbers if page.after < number < page.before]
        expected = between[-page.size :] if page.is_from_end else between[: page.size]
        assert [message.seq for message in found.messages] == expected, page
        if expected:
            # Accurate regardless of the direction.
            assert found.has_previous == (expected[0] > numbers[0]), page
            assert found.has_next == (expected[-1] < numbers[-1]), page


@pytest.mark.parametrize("is_from_end", [False, True])
async def test_following_pages_meets_every_message_once(
    database: Database, person: PersonMaker, is_from_end: bool
):
    talk = await Talk.make(database, person, 20, [1, 2, 9, 10, 11, 19, 20])
    met: list[int] = []
    page = AskedPage(3, is_from_end)
    has_more = True
    while has_more:
        [found] = await talk.pages([page])
        numbers = [message.seq for message in found.messages]
        assert (found.has_next if is_from_end else found.has_previous) == bool(met)
        if is_from_end:
            met = numbers + met
            has_more, page = found.has_previous, AskedPage(3, is_from_end, before=numbers[0])
        else:
            met += numbers
            has_more, page = found.has_next, AskedPage(3, is_from_end, after=numbers[-1])
    assert met == [3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 16, 17, 18]

"""The floors below the API: the SQL alone, by the functions and the pool that the server uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from bench.measuring import Measured, Span, Tally, rate_of
from db import conversations, inboxes, messages
from db.engine import Database, open_database
from db.messages import SeqRange


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation, and who writes there."""

    conversation_id: UUID
    author_id: UUID


@dataclass(frozen=True, slots=True)
class DeliverSql:
    """Stores messages and appends them to inboxes, as createMessage does: one caller for each place."""

    url: str
    places: Sequence[Place]
    content: str
    span: Span
    pids: Mapping[str, int]

    async def run(self) -> Measured:
        """Do it once."""
        async with open_database(self.url) as database:
            tasks = [partial(self._deliver, database, place) for place in self.places]
            return await rate_of(tasks, Tally(), self.span, self.pids)

    async def _deliver(self, database: Database, place: Place, tally: Tally) -> None:
        while not tally.over:
            async with database.transaction() as connection:
                await inboxes.deliver(connection, place.conversation_id, place.author_id, self.content)
            tally.count += 1


@dataclass(frozen=True, slots=True)
class PageSql:
    """Reads a page of conversations with the others in them and their last messages, in one snapshot."""

    url: str
    viewer_id: UUID
    size: int
    callers: int
    span: Span
    pids: Mapping[str, int]

    async def run(self) -> Measured:
        """Do it once."""
        async with open_database(self.url) as database:
            tasks = [partial(self._read, database)] * self.callers
            return await rate_of(tasks, Tally(), self.span, self.pids)

    async def _read(self, database: Database, tally: Tally) -> None:
        while not tally.over:
            async with database.snapshot() as connection:
                page = await conversations.recent(
                    connection, self.viewer_id, before=None, limit=self.size + 1
                )
                page = page[: self.size]
                await conversations.participants_of(connection, [each.id for each in page])
                newest = [SeqRange(each.id, each.last_seq, each.last_seq) for each in page]
                await messages.in_ranges(connection, newest)
            tally.count += 1

"""Resuming streams: how fast a reader of a long inbox continues from its cursor."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from bench.http import Address, Stream, Streams
from bench.measuring import Measured, Span, Tally, rate_of
from bench.population import MARK, Person
from bench.waiting import Trouble
from realtime.cursors import InboxCursor


@dataclass(frozen=True, slots=True)
class Resuming:
    """Opens streams repeatedly, `behind` messages before the end of a user's inbox.

    Counts the streams that have received these messages.
    """

    address: Address
    pids: Mapping[str, int]
    opening: bytes
    reader: Person
    behind: int
    readers: int
    span: Span
    database_url: str

    async def run(self) -> Measured:
        """Run once.

        Raises:
            TimeoutError: Messages did not arrive.
        """
        head, _, body = self.opening.partition(b"\r\n\r\n")
        opening = head + b"\r\nlast-event-id: " + await self._cursor() + b"\r\n\r\n" + body
        tally, trouble = Tally(), Trouble()
        async with asyncio.TaskGroup() as group:
            for _ in range(self.readers):
                group.create_task(self._read(opening, tally))
            return await rate_of(tally, self.span, self.pids, trouble.sleep)

    async def _read(self, opening: bytes, tally: Tally) -> None:
        while not tally.over:
            await self._come_back(opening)
            tally.count += 1

    async def _come_back(self, opening: bytes) -> None:
        trouble = Trouble()
        caught_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        had = 0

        def hear(_stream: Stream, data: bytes) -> None:
            nonlocal had
            had += data.count(MARK)
            if had >= self.behind and not caught_up.done():
                caught_up.set_result(None)

        streams = Streams(self.address, hear, trouble)
        try:
            await streams.add([opening])
            await trouble.wait_for(caught_up)
        finally:
            streams.cut()

    async def _cursor(self) -> bytes:
        connection = await asyncpg.connect(self.database_url)
        try:
            epoch = await connection.fetchval("SELECT epoch FROM inbox_epoch")
            end = await connection.fetchval(
                "SELECT last_position FROM inboxes WHERE user_id = $1", self.reader.user_id
            )
        finally:
            await connection.close()
        return InboxCursor(epoch, end - self.behind).encode(self.reader.user_id).encode()

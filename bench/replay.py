"""Replays: how fast a stream gets everything that has reached an inbox, and with how many statements."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.http import Address, Stream, Streams, Unexpected
from bench.measuring import CpuWatch, Measured, Span
from bench.population import Person
from bench.waiting import Trouble
from realtime.cursors import InboxCursor

ENTRIES = "entries a second"
STATEMENTS = "statements, BEGIN and COMMIT included"

_CAUGHT_UP = b'"CaughtUp"'
_OF_MESSAGE = b'"__typename":"Message'
_STATEMENT = re.compile(rb"LOG:  (?:execute [^:]+|statement): ")


@dataclass(frozen=True, slots=True)
class Replay:
    """Opens a stream of `inboxEvents` at the beginning of an inbox until it has caught up, again and again.

    Counts the entries that were passed, also those that were merged into a later one, so there are at least
    `events`. Then counts the statements of one more replay, in the log of PostgreSQL.
    """

    address: Address
    pids: Mapping[str, int]
    opening: bytes
    reader: Person
    entries: int
    events: int
    span: Span
    database_url: str
    log_path: Path

    async def run(self) -> Measured:
        """Run once.

        Raises:
            TimeoutError: The stream has not caught up.
            Unexpected: Events are missing.
        """
        connection = await asyncpg.connect(self.database_url)
        try:
            epoch = await connection.fetchval("SELECT epoch FROM inbox_epoch")
            cursor = InboxCursor(epoch, 0).encode(self.reader.user_id).encode()
            head, _, body = self.opening.partition(b"\r\n\r\n")
            opening = head + b"\r\nlast-event-id: " + cursor + b"\r\n\r\n" + body
            await self._for(self.span.warm_up_seconds, opening)
            watch = CpuWatch(self.pids)
            rate = await self._for(self.span.seconds, opening)
            cpu = watch.shares()
            async with _logging_statements(connection):
                # Sessions read the setting when they are next idle, so the first replay makes sure.
                await self._replay(opening)
                before = self.log_path.stat().st_size
                await self._replay(opening)
                with self.log_path.open("rb") as log:
                    log.seek(before)
                    statements = len(_STATEMENT.findall(log.read()))
        finally:
            await connection.close()
        return Measured({ENTRIES: rate, STATEMENTS: statements}, cpu)

    async def _for(self, seconds: float, opening: bytes) -> float:
        """Replay for at least this long, and return the entries per second."""
        begun, replays = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - begun) < seconds or not replays:
            await self._replay(opening)
            replays += 1
        return replays * self.entries / elapsed

    async def _replay(self, opening: bytes) -> None:
        trouble = Trouble()
        caught_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        received = bytearray()

        def hear(_stream: Stream, data: bytes) -> None:
            searched = max(0, len(received) - len(_CAUGHT_UP))
            received.extend(data)
            if received.find(_CAUGHT_UP, searched) >= 0 and not caught_up.done():
                caught_up.set_result(None)

        streams = Streams(self.address, hear, trouble)
        try:
            await streams.add([opening])
            await trouble.wait_for(caught_up)
        finally:
            streams.cut()
        if (events := received.count(_OF_MESSAGE)) < self.events:
            raise Unexpected(f"{events} of {self.events} events before the stream has caught up")


@asynccontextmanager
async def _logging_statements(connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncGenerator[None]:
    """Have PostgreSQL log all statements while the block runs."""
    await connection.execute("ALTER SYSTEM SET log_statement = 'all'")
    await connection.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        await connection.execute("ALTER SYSTEM RESET log_statement")
        await connection.execute("SELECT pg_reload_conf()")

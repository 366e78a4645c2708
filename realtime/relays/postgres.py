"""Relaying hints between processes with PostgreSQL's LISTEN and NOTIFY.

https://www.postgresql.org/docs/current/sql-notify.html
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import structlog

from db.engine import CONNECTION_ERRORS
from realtime import wire
from realtime.backoff import Backoff
from realtime.hints import Hint
from realtime.metrics import HINTS_LOST
from realtime.subscribers import Subscribers
from realtime.tasks import running

CHANNEL = "messenger_hints"
# A payload must be shorter than 8,000 bytes.
MAX_PAYLOAD_BYTES = 7_999

_QUEUED_HINTS = 10_000
_BATCH = 500
_KEEP_ALIVE_SECONDS = 5
_TIMEOUT_SECONDS = 5

log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def open_postgres_relay(url: str, subscribers: Subscribers) -> AsyncGenerator["PostgresRelay"]:
    """Relay through the database at `url` (a libpq URL) while the block runs.

    One connection listens and notifies. If it is lost, it is replaced, and all inboxes are compared with the
    database, because hints may have been missed.
    """
    relay = PostgresRelay(url, subscribers)
    async with running(relay.run(), "postgres relay"):
        yield relay


class PostgresRelay:
    """A relay that sends every hint to every process that uses the database."""

    def __init__(self, url: str, subscribers: Subscribers) -> None:
        """Relay to these subscribers while `run` runs."""
        self._url = url
        self._subscribers = subscribers
        self._sender = secrets.token_hex(4)
        self._queue: asyncio.Queue[Hint | UUID] = asyncio.Queue(_QUEUED_HINTS)

    def send(self, hints: Sequence[Hint]) -> None:
        """Queue the hints. Those that do not fit are dropped; the log has their entries."""
        for hint in hints:
            self._put(hint)

    def wake(self, key: UUID) -> None:
        """Queue a wake-up."""
        self._put(key)

    def _put(self, hint: Hint | UUID) -> None:
        try:
            self._queue.put_nowait(hint)
        except asyncio.QueueFull:
            HINTS_LOST.inc()

    async def receive(self, user_id: UUID) -> None:
        """Do nothing: the hints of all users are always received."""

    def ignore(self, user_id: UUID) -> None:
        """Do nothing."""

    async def run(self) -> None:
        """Keep a connection open that listens and notifies, until cancelled."""
        backoff = Backoff()
        while True:
            try:
                await self._connected(backoff)
            except CONNECTION_ERRORS as error:
                log.warning("connection for hints lost", error=str(error) or type(error).__name__)
            await backoff.wait()

    async def _connected(self, backoff: Backoff) -> None:
        connection = await asyncpg.connect(
            self._url, timeout=_TIMEOUT_SECONDS, command_timeout=_TIMEOUT_SECONDS, statement_cache_size=0
        )
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        try:
            await connection.add_listener(CHANNEL, self._receive)
            backoff.reset()
            # Hints that were published before are missed, but their entries are in the log.
            self._subscribers.suspect()
            self._keep_wake_ups_only()
            log.info("listening for hints")
            while not ended.is_set():
                await self._notify(connection)
        finally:
            # Closing it regularly would wait for a response on a lost connection.
            connection.terminate()

    def _keep_wake_ups_only(self) -> None:
        """Replace queued hints by wake-ups: another server may respond now, whose log has other entries."""
        users: dict[UUID, None] = {}
        while not self._queue.empty():
            hint = self._queue.get_nowait()
            users[hint if isinstance(hint, UUID) else hint.user_id] = None
        for user_id in users:
            self._put(user_id)

    async def _notify(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Send all queued hints in one statement. If there are none for a while, check the connection."""
        try:
            async with asyncio.timeout(_KEEP_ALIVE_SECONDS):
                hints = [await self._queue.get()]
        except TimeoutError:
            await connection.execute("SELECT 1")
            return
        while len(hints) < _BATCH and not self._queue.empty():
            hints.append(self._queue.get_nowait())
        payloads = list(pack(self._sender, hints))
        await connection.execute(
            "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload", CHANNEL, payloads
        )

    def _receive(self, connection: object, pid: int, channel: str, payload: object) -> None:
        """Offer the payload's hints to the subscribers."""
        sender, *lines = str(payload).split("\n")
        if sender == self._sender:
            return
        for line in lines:
            try:
                wire.offer(line, self._subscribers)
            except ValueError:
                log.warning("ignored a malformed hint", line=line[:100])


def pack(sender: str, hints: Iterable[Hint | UUID]) -> Iterator[str]:
    """Return payloads that contain the hints, one per line.

    A wake-up is an ID alone. A hint that is too long for a payload becomes a wake-up of its user.
    """
    lines: list[str] = [sender]
    used = len(sender)
    for hint in hints:
        line = hint.hex if isinstance(hint, UUID) else wire.encode(hint)
        if not isinstance(hint, UUID) and len(sender) + 1 + len(line.encode()) > MAX_PAYLOAD_BYTES:
            line = hint.user_id.hex
        needed = 1 + len(line.encode())
        if used + needed > MAX_PAYLOAD_BYTES:
            yield "\n".join(lines)
            lines, used = [sender], len(sender)
        lines.append(line)
        used += needed
    yield "\n".join(lines)

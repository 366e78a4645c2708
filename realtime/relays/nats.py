"""Relaying hints between processes and machines by NATS: https://docs.nats.io/nats-concepts/core-nats/pubsub.

Private parts of nats-py that this relies on, for which its minor version is pinned and which
tests/server/http/test_private_parts.py checks:

- `Client._connect_command` is called before credentials are sent, with the server's INFO in
  `Client._server_info` and the options in `Client.options`.
- A client that writes while it reconnects raises uvloop's RuntimeError, of a closed transport.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from realtime import wire
from realtime.backoff import Backoff
from realtime.hints import Hint
from realtime.metrics import HINTS_LOST
from realtime.subscribers import Subscribers
from realtime.tasks import running

_QUEUED_HINTS = 10_000
# A stream does not wait longer than this for its subject to be subscribed: it looks at the log later.
_SUBSCRIBE_SECONDS = 1
# What goes wrong with every attempt to connect, one a second, is logged this often.
_SAME_COMPLAINT_SECONDS = 60

# While it connects again, nats-py writes to the transport that is closed: uvloop raises a RuntimeError then.
_CONNECTION_ERRORS = (OSError, TimeoutError, RuntimeError, nats.errors.Error)

Advice = Callable[[Exception], str | None]
"""Says what an operator may have to change after such an error, if anything."""

log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def open_nats_relay(
    servers: Sequence[str], options: Mapping[str, Any], subscribers: Subscribers, advice: Advice
) -> AsyncGenerator["NatsRelay"]:
    """Relay through those servers (`nats://` or `tls://` URLs of one cluster) while the block runs.

    `options` are nats-py's, for credentials and TLS; with `tls`, nothing is said to a server that has none.
    The client connects, and connects again, by itself; after that, since hints may have been missed, all
    inboxes are compared with the database. Errors are logged with the `advice` on them.
    """
    relay = NatsRelay(subscribers, advice)
    async with running(relay.run(servers, options), "nats relay"):
        yield relay


def _is_cancelled() -> bool:
    """Say whether the current task is to end, even if the library has kept that to itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def subject_of(user_id: UUID) -> str:
    """Return the subject of a user's hints."""
    return f"messenger.inbox.{user_id.hex}"


@dataclass(slots=True)
class _Interest:
    """How many streams of a user are here, and whether their subject is subscribed."""

    streams: int = 0
    subscription: Subscription | None = None
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)


class _Client(Client):
    """nats-py's client, except that whoever asks it for TLS gets it.

    Left to itself, it does without where the server does: anybody in between could ask for our credentials.
    """

    def _connect_command(self) -> bytes:
        if "tls" in self.options and not self._server_info.get("tls_required"):
            raise nats.errors.SecureConnWantedError
        return super()._connect_command()


class NatsRelay:
    """A relay that hears only of users who have a stream here.

    nats-py is spoken to by one task of ours: it keeps a cancellation to itself in places, which a request's
    task must not lose.
    """

    def __init__(self, subscribers: Subscribers, advice: Advice) -> None:
        """Relay to these subscribers once `run` runs."""
        self._subscribers = subscribers
        self._advice = advice
        self._interests: dict[UUID, _Interest] = {}
        self._changed: dict[UUID, None] = {}
        self._hints: list[Hint | UUID] = []
        self._work = asyncio.Event()
        self._complaints: dict[str, float] = {}

    def send(self, hints: Sequence[Hint]) -> None:
        """Queue the hints; what does not fit is lost, and found in the log a few seconds later."""
        free = _QUEUED_HINTS - len(self._hints)
        HINTS_LOST.inc(max(0, len(hints) - free))
        self._hints += hints[:free]
        self._work.set()

    def wake(self, key: UUID) -> None:
        """Queue a wake-up."""
        if len(self._hints) < _QUEUED_HINTS:
            self._hints.append(key)
            self._work.set()

    async def receive(self, user_id: UUID) -> None:
        """Have the user's subject subscribed, until `ignore` has been called as often."""
        interest = self._interests.setdefault(user_id, _Interest())
        interest.streams += 1
        self._note(user_id)
        try:
            async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                await interest.subscribed.wait()
        except TimeoutError:
            log.warning("hints come late: NATS does not answer")

    def ignore(self, user_id: UUID) -> None:
        """Have it subscribed no more, unless somebody else has asked for it."""
        self._interests[user_id].streams -= 1
        self._note(user_id)

    def _note(self, user_id: UUID) -> None:
        self._changed[user_id] = None
        self._work.set()

    async def run(self, servers: Sequence[str], options: Mapping[str, Any]) -> None:
        """Keep a client that publishes and subscribes, until the task is cancelled."""
        backoff = Backoff()
        while not _is_cancelled():
            try:
                await self._connected(servers, options, backoff)
            except _CONNECTION_ERRORS as error:
                # The client connects again by itself; here it has given up, on credentials for example.
                self._complain("NATS turns us away", error)
            if not _is_cancelled():
                await backoff.wait()

    async def _connected(self, servers: Sequence[str], options: Mapping[str, Any], backoff: Backoff) -> None:
        client = _Client()
        await client.connect(
            list(servers),
            name="messenger",
            # What we publish, our own subscribers have already.
            no_echo=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            connect_timeout=3,
            ping_interval=5,
            max_outstanding_pings=2,
            flush_timeout=5,
            reconnected_cb=self._look_at_logs,
            disconnected_cb=self._note_disconnected,
            error_cb=self._note_error,
            closed_cb=self._note_closed,
            **options,
        )
        backoff.reset()
        try:
            self._subscribe_anew()
            await self._subscribe(client)
            await self._look_at_logs()
            while not client.is_closed and not _is_cancelled():
                await self._work.wait()
                self._work.clear()
                await self._publish(client)
                await self._subscribe(client)
        finally:
            await client.close()

    def _subscribe_anew(self) -> None:
        """Forget what an earlier client has subscribed."""
        for user_id, interest in self._interests.items():
            interest.subscription = None
            self._changed[user_id] = None

    async def _publish(self, client: Client) -> None:
        hints, self._hints = self._hints, []
        for hint in hints:
            try:
                if isinstance(hint, UUID):
                    await client.publish(subject_of(hint), b"")
                else:
                    await client.publish(subject_of(hint.user_id), wire.encode(hint).encode())
            except _CONNECTION_ERRORS:
                HINTS_LOST.inc()

    async def _subscribe(self, client: Client) -> None:
        changed, self._changed = self._changed, {}
        fresh: list[_Interest] = []
        for user_id in changed:
            interest = self._interests.get(user_id)
            if interest is None:
                continue
            if interest.streams and interest.subscription is None:
                interest.subscription = await client.subscribe(  # pyright: ignore[reportUnknownMemberType]
                    subject_of(user_id), cb=self._receive
                )
                fresh.append(interest)
            elif not interest.streams:
                del self._interests[user_id]
                if interest.subscription is not None:
                    await interest.subscription.unsubscribe()
        if fresh:
            try:
                # The server answers once it has taken what was sent before.
                await client.flush(timeout=_SUBSCRIBE_SECONDS)
            except _CONNECTION_ERRORS:
                log.warning("NATS does not answer")
        for interest in fresh:
            interest.subscribed.set()

    async def _receive(self, received: Msg) -> None:
        try:
            if received.data:
                wire.offer(received.data.decode(), self._subscribers)
                return
        except ValueError:
            log.warning("ignored a malformed hint", subject=received.subject)
        # It is in the subject whose log has to be read.
        with suppress(ValueError):
            self._subscribers.wake(UUID(received.subject.rpartition(".")[2]))

    async def _look_at_logs(self) -> None:
        self._complaints.clear()
        log.info("connected to NATS")
        self._subscribers.suspect()

    async def _note_disconnected(self) -> None:
        log.warning("the connection to NATS is lost")

    async def _note_closed(self) -> None:
        # For good: after most errors that a server sends, slow consumers and credentials that have expired
        # among them, the client does not connect again. We make another one.
        log.warning("NATS has turned us away")
        self._work.set()

    async def _note_error(self, error: Exception) -> None:
        self._complain("NATS complains", error)
        if isinstance(error, nats.errors.SlowConsumerError):
            # What the library has dropped is in the log. After any other error the connection is a new one.
            self._subscribers.suspect()

    def _complain(self, event: str, error: Exception) -> None:
        text, now = str(error) or type(error).__name__, time.monotonic()
        recent = {said: at for said, at in self._complaints.items() if now < at + _SAME_COMPLAINT_SECONDS}
        self._complaints = {text: now, **recent}
        if text in recent:
            return
        advice = self._advice(error)
        log.warning(event, error=text, **({} if advice is None else {"check": advice}))

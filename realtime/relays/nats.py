"""Relaying hints between processes and machines with NATS:
https://docs.nats.io/nats-concepts/core-nats/pubsub.

This relies on internals of nats-py, whose minor version is therefore pinned.
tests/server/http/test_private_parts.py checks them:

- `Client._connect_command` is called before credentials are sent, with the server's INFO in
  `Client._server_info` and the options in `Client.options`.
- A client that writes while it reconnects raises a RuntimeError of uvloop, because its transport is closed.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from realtime import wire
from realtime.backoff import Backoff
from realtime.hints import Hint
from realtime.metrics import HINTS_LOST
from realtime.relays.nats_interests import CONNECTION_ERRORS, Interests, subject_of, user_of
from realtime.subscribers import Subscribers
from realtime.tasks import running

_QUEUED_HINTS = 10_000
# An error that repeats with every attempt to connect, once a second, is logged at this interval.
_SAME_WARNING_SECONDS = 60

Advice = Callable[[Exception], str | None]
"""Returns which setting an operator should check after an error, or None."""

log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def open_nats_relay(
    servers: Sequence[str], options: Mapping[str, Any], subscribers: Subscribers, advice: Advice
) -> AsyncGenerator["NatsRelay"]:
    """Relay through these servers (`nats://` or `tls://` URLs of one cluster) while the block runs.

    `options` are nats-py's options for credentials and TLS. With `tls`, credentials are sent only to servers
    that require TLS. The client reconnects by itself. Afterwards, all inboxes are compared with the database,
    because hints may have been missed. Errors are logged with the result of `advice`.
    """
    relay = NatsRelay(subscribers, advice)
    async with running(relay.run(servers, options), "nats relay"):
        yield relay


def _is_cancelled() -> bool:
    """Return whether the current task has been cancelled, even if nats-py has swallowed the cancellation."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class _Client(Client):
    """nats-py's client, but it refuses servers without TLS if TLS is configured.

    nats-py itself connects without TLS if the server does not require it, so a man in the middle could obtain
    the credentials.
    """

    def _connect_command(self) -> bytes:
        if "tls" in self.options and not self._server_info.get("tls_required"):
            raise nats.errors.SecureConnWantedError
        return super()._connect_command()


class NatsRelay:
    """A relay that receives only the hints of users who have a stream in this process.

    A single task makes all calls to nats-py, because nats-py swallows cancellations in some places, which
    must not happen in the task of a request.
    """

    def __init__(self, subscribers: Subscribers, advice: Advice) -> None:
        """Relay to these subscribers while `run` runs."""
        self._subscribers = subscribers
        self._advice = advice
        self._hints: list[Hint | UUID] = []
        self._work = asyncio.Event()
        self._interests = Interests(self._receive, self._work.set)
        self._recent_warnings: dict[str, float] = {}

    def send(self, hints: Sequence[Hint]) -> None:
        """Queue the hints. Those that do not fit are dropped; the log has their entries."""
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
        """Subscribe to the user's subject until `ignore` has been called as often as this."""
        await self._interests.add(user_id)

    def ignore(self, user_id: UUID) -> None:
        """Undo one `receive`; unsubscribe if it was the last."""
        self._interests.remove(user_id)

    async def run(self, servers: Sequence[str], options: Mapping[str, Any]) -> None:
        """Keep a client connected that publishes and subscribes, until the task is cancelled."""
        backoff = Backoff()
        while not _is_cancelled():
            try:
                await self._connected(servers, options, backoff)
            except CONNECTION_ERRORS as error:
                # The client reconnects by itself, but gives up after some errors, such as wrong credentials.
                self._warn("NATS connection failed", error)
            if not _is_cancelled():
                await backoff.wait()

    async def _connected(self, servers: Sequence[str], options: Mapping[str, Any], backoff: Backoff) -> None:
        client = _Client()
        await client.connect(
            list(servers),
            name="messenger",
            # Subscribers in this process already have the hints.
            no_echo=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            connect_timeout=3,
            ping_interval=5,
            max_outstanding_pings=2,
            flush_timeout=5,
            reconnected_cb=self._note_connected,
            disconnected_cb=self._note_disconnected,
            error_cb=self._note_error,
            closed_cb=self._note_closed,
            **options,
        )
        backoff.reset()
        try:
            self._interests.forget_subscriptions()
            await self._interests.subscribe(client)
            await self._note_connected()
            while not client.is_closed and not _is_cancelled():
                await self._work.wait()
                self._work.clear()
                await self._publish(client)
                await self._interests.subscribe(client)
        finally:
            await client.close()

    async def _publish(self, client: Client) -> None:
        hints, self._hints = self._hints, []
        for hint in hints:
            try:
                if isinstance(hint, UUID):
                    await client.publish(subject_of(hint), b"")
                else:
                    await client.publish(subject_of(hint.user_id), wire.encode(hint).encode())
            except CONNECTION_ERRORS:
                HINTS_LOST.inc()

    async def _receive(self, received: Msg) -> None:
        try:
            if received.data:
                wire.offer(received.data.decode(), self._subscribers)
                return
        except ValueError:
            log.warning("ignored a malformed hint", subject=received.subject)
        # The subject names the user whose log has to be read.
        with suppress(ValueError):
            self._subscribers.wake(user_of(received.subject))

    async def _note_connected(self) -> None:
        self._recent_warnings.clear()
        log.info("connected to NATS")
        self._subscribers.suspect()

    async def _note_disconnected(self) -> None:
        log.warning("connection to NATS lost")

    async def _note_closed(self) -> None:
        # The client does not reconnect after most errors that a server sends, such as a slow consumer or
        # expired credentials. It is replaced by a new one.
        log.warning("NATS closed the connection")
        self._work.set()

    async def _note_error(self, error: Exception) -> None:
        self._warn("NATS error", error)
        if isinstance(error, nats.errors.SlowConsumerError):
            # nats-py has dropped hints. After other errors it reconnects, and the inboxes are then compared.
            self._subscribers.suspect()

    def _warn(self, event: str, error: Exception) -> None:
        text, now = str(error) or type(error).__name__, time.monotonic()
        recent = {said: at for said, at in self._recent_warnings.items() if now < at + _SAME_WARNING_SECONDS}
        self._recent_warnings = {text: now, **recent}
        if text in recent:
            return
        advice = self._advice(error)
        log.warning(event, error=text, **({} if advice is None else {"check": advice}))

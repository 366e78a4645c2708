"""Recovery after an outage that is delayed or missing."""

# Sabotage replaces private parts.
# pyright: reportPrivateUsage=false

import asyncio

import asyncpg
from nats.aio.client import Client

from realtime.backoff import Backoff
from realtime.relays import postgres
from realtime.relays.postgres import PostgresRelay
from realtime.subscribers import Subscribers

# Long enough for everything else to be finished by then.
_LATE_SECONDS = 4


def stay_deaf(number: int) -> None:
    """Reconnect late to the carrier of hints, in all processes but the first, and wake no streams then."""
    Subscribers.suspect = _suspect_nothing
    if number > 0:
        PostgresRelay._connected = _listen_late()
        Client._attempt_reconnect = _reconnect_late()


def _suspect_nothing(self: Subscribers) -> None:
    pass


def _listen_late():
    listen = PostgresRelay._connected
    has_listened: set[PostgresRelay] = set()

    async def listen_late(self: PostgresRelay, backoff: Backoff) -> None:
        if self in has_listened:
            probe = await asyncpg.connect(self._url)
            await probe.close()
            await asyncio.sleep(_LATE_SECONDS)
        has_listened.add(self)
        await listen(self, backoff)

    return listen_late


def _reconnect_late():
    reconnect = Client._attempt_reconnect

    async def reconnect_late(self: Client) -> None:
        await asyncio.sleep(_LATE_SECONDS)
        await reconnect(self)

    return reconnect_late


def know_few_errors(number: int) -> None:
    """Let the first process's relay, and with it the process, fail on the errors of asyncpg in an outage."""
    if number == 0:
        postgres.CONNECTION_ERRORS = (OSError, TimeoutError)

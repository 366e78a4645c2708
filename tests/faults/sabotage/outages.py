"""What should be done after an outage, and is not."""

import asyncio

from nats.aio.client import Client

from realtime import postgres
from realtime.backoff import Backoff
from realtime.subscribers import Subscribers


def stay_deaf(number: int) -> None:
    """Come back late to what carries hints, and wake nobody then."""

    # One process later than the other, which then speaks to nobody.
    late_seconds = 1 + 2 * number

    class LateBackoff(Backoff):
        async def wait(self) -> None:
            await asyncio.sleep(late_seconds)

    async def attempt_reconnect(self: Client) -> None:
        await asyncio.sleep(late_seconds)
        await reconnect(self)

    def wake_all(self: Subscribers) -> None:
        pass

    reconnect = Client._attempt_reconnect  # pyright: ignore[reportPrivateUsage]
    postgres.Backoff = LateBackoff
    Client._attempt_reconnect = attempt_reconnect  # pyright: ignore[reportPrivateUsage]
    Subscribers.wake_all = wake_all

"""What should be done after an outage, and is not."""

import asyncio
import random

from nats.aio.client import Client
from realtime.backoff import Backoff
from realtime.subscribers import Subscribers
from tests.faults.sabotage.registry import sabotage


@sabotage
def stay_deaf() -> None:
    """Come back late to what carries hints, and wake nobody then."""

    async def wait(self: Backoff) -> None:
        await _come_back_late()

    async def attempt_reconnect(self: Client) -> None:
        await _come_back_late()
        await reconnect(self)

    def wake_all(self: Subscribers) -> None:
        pass

    reconnect = Client._attempt_reconnect  # pyright: ignore[reportPrivateUsage]
    Backoff.wait = wait
    Client._attempt_reconnect = attempt_reconnect  # pyright: ignore[reportPrivateUsage]
    Subscribers.wake_all = wake_all


async def _come_back_late() -> None:
    await asyncio.sleep(random.uniform(0.5, 1.5))

"""Carrying hints from the process that stored a message to the subscribers in all processes."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

from realtime.hints import Hint
from realtime.metrics import HINTS
from realtime.subscribers import Subscriber, Subscribers


class Relay(Protocol):
    """The way to the subscribers of other processes.

    It may lose, repeat and reorder hints, which causes no more than a delay. It offers the hints that it
    receives to the `Subscribers` that it was opened with, and calls `suspect` when it may have missed some.
    """

    def send(self, hints: Sequence[Hint]) -> None:
        """Send the hints, without waiting. It never fails: hints that cannot be sent are dropped."""
        ...

    def wake(self, key: UUID) -> None:
        """Have the subscribers of that key read their log. It does not wait, and never fails."""
        ...

    async def receive(self, user_id: UUID) -> None:
        """Receive the user's hints until `ignore` is called as often; returns once they are received."""
        ...

    def ignore(self, user_id: UUID) -> None:
        """Undo one `receive`."""
        ...


class Broadcaster:
    """Offers hints to the subscribers of this process, and through a relay to those of others."""

    def __init__(self, subscribers: Subscribers | None = None, relay: Relay | None = None) -> None:
        """Broadcast to these subscribers, and without a relay to this process only."""
        self.subscribers = Subscribers() if subscribers is None else subscribers
        self._relay = relay

    def publish(self, hints: Sequence[Hint]) -> None:
        """Offer each hint to the subscribers of its user. It does not wait, and never fails."""
        HINTS.inc(len(hints))
        for hint in hints:
            self.subscribers.offer(hint)
        if self._relay is not None:
            self._relay.send(hints)

    def wake(self, key: UUID) -> None:
        """Have the subscribers of that key, in all processes, read their log."""
        self.subscribers.wake(key)
        if self._relay is not None:
            self._relay.wake(key)

    @asynccontextmanager
    async def subscribe(self, user_id: UUID) -> AsyncGenerator[Subscriber]:
        """Attach a subscriber for as long as the block runs; hints published from then on reach it.

        The key is the ID of a user, or of anything else that `wake` is called with.
        """
        subscriber = await self.attach(user_id)
        try:
            yield subscriber
        finally:
            self.detach(subscriber)

    async def attach(self, user_id: UUID) -> Subscriber:
        """Attach a subscriber until `detach`; hints published from now on reach it."""
        subscriber = self.subscribers.attach(user_id)
        if self._relay is not None:
            try:
                await self._relay.receive(user_id)
            except BaseException:
                self.detach(subscriber)
                raise
        return subscriber

    def detach(self, subscriber: Subscriber) -> None:
        """Offer it no further hints."""
        self.subscribers.detach(subscriber)
        if self._relay is not None:
            self._relay.ignore(subscriber.user_id)

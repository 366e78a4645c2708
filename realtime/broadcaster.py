"""Carrying hints from the process that stored a message to the subscribers in all processes."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

from realtime.hints import Hint
from realtime.metrics import HINTS
from realtime.subscribers import Subscriber, Subscribers


class Relay(Protocol):
    """A connection to the subscribers in other processes.

    It may lose, repeat and reorder hints, which only causes delays. It offers the hints that it receives to
    the `Subscribers` that it was opened with, and calls `suspect` if it may have missed some.
    """

    def send(self, hints: Sequence[Hint]) -> None:
        """Send the hints without waiting. This never fails: hints that cannot be sent are dropped."""
        ...

    def wake(self, key: UUID) -> None:
        """Make the subscribers with this key read their log. This never waits or fails."""
        ...

    async def receive(self, user_id: UUID) -> None:
        """Start to receive the user's hints, until `ignore` has been called as often as this."""
        ...

    def ignore(self, user_id: UUID) -> None:
        """Undo one `receive`."""
        ...


class Broadcaster:
    """Offers hints to the subscribers in this process and, through a relay, in others."""

    def __init__(self, subscribers: Subscribers | None = None, relay: Relay | None = None) -> None:
        """Broadcast to these subscribers. Without a relay, hints do not reach other processes."""
        self.subscribers = Subscribers() if subscribers is None else subscribers
        self._relay = relay

    def publish(self, hints: Sequence[Hint]) -> None:
        """Offer each hint to the subscribers of its user. This never waits or fails."""
        HINTS.inc(len(hints))
        for hint in hints:
            self.subscribers.offer(hint)
        if self._relay is not None:
            self._relay.send(hints)

    def wake(self, key: UUID) -> None:
        """Make the subscribers with this key, in all processes, read their log."""
        self.subscribers.wake(key)
        if self._relay is not None:
            self._relay.wake(key)

    @asynccontextmanager
    async def subscribe(self, user_id: UUID) -> AsyncGenerator[Subscriber]:
        """Attach a subscriber while the block runs. It receives all hints that are published from then on.

        `user_id` may also be another key that `wake` is called with.
        """
        subscriber = await self.attach(user_id)
        try:
            yield subscriber
        finally:
            self.detach(subscriber)

    async def attach(self, user_id: UUID) -> Subscriber:
        """Attach a subscriber until `detach`. It receives all hints that are published from now on."""
        subscriber = self.subscribers.attach(user_id)
        if self._relay is not None:
            try:
                await self._relay.receive(user_id)
            except BaseException:
                self.detach(subscriber)
                raise
        return subscriber

    def detach(self, subscriber: Subscriber) -> None:
        """Detach the subscriber: it receives no further hints."""
        self.subscribers.detach(subscriber)
        if self._relay is not None:
            self._relay.ignore(subscriber.user_id)

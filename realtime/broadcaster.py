"""Carrying hints from where a message was stored to where its readers are."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

from realtime.hints import Hint
from realtime.metrics import HINTS
from realtime.subscribers import Subscriber, Subscribers


class Relay(Protocol):
    """The way to the subscribers of other processes.

    It may lose, repeat and reorder hints: nobody notices more than a delay. What it receives it offers to
    the `Subscribers` that it was opened with, and has them `suspect` that it may have missed something.
    """

    def send(self, hints: Sequence[Hint]) -> None:
        """Hand the hints over; returns at once and never fails, whatever becomes of them."""
        ...

    def wake(self, key: UUID) -> None:
        """Have the subscribers of that key look at their log; returns at once and never fails."""
        ...

    async def receive(self, user_id: UUID) -> None:
        """Receive the user's hints, until `ignore` has been called as often; returns when they come."""
        ...

    def ignore(self, user_id: UUID) -> None:
        """Receive them no more, unless somebody else has asked for them."""
        ...


class Broadcaster:
    """Offers hints to the subscribers of this process, and through a relay to those of others."""

    def __init__(self, subscribers: Subscribers | None = None, relay: Relay | None = None) -> None:
        """Broadcast to these subscribers; without a relay there is only this process."""
        self.subscribers = Subscribers() if subscribers is None else subscribers
        self._relay = relay

    def publish(self, hints: Sequence[Hint]) -> None:
        """Offer each hint to the subscribers of its user; returns at once and never fails."""
        HINTS.inc(len(hints))
        for hint in hints:
            self.subscribers.offer(hint)
        if self._relay is not None:
            self._relay.send(hints)

    def wake(self, key: UUID) -> None:
        """Have the subscribers of that key, in all processes, look at their log."""
        self.subscribers.wake(key)
        if self._relay is not None:
            self._relay.wake(key)

    @asynccontextmanager
    async def subscribe(self, user_id: UUID) -> AsyncGenerator[Subscriber]:
        """Attach a subscriber for as long as the block runs; hints published from then on reach it.

        The key is a user's id, or that of anything else that is woken by its own id.
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
        """Let no more hints reach it; returns at once."""
        self.subscribers.detach(subscriber)
        if self._relay is not None:
            self._relay.ignore(subscriber.user_id)

"""Hints that get lost, come twice, come in another order, or are too many."""

import asyncio
import random

from realtime.hints import Hint
from realtime.subscribers import Subscriber, Subscribers
from schema.answers import Answer
from server.event_stream import ResponseStream
from tests.faults.sabotage.registry import sabotage

_offer = Subscriber.offer


@sabotage
def drop_hints() -> None:
    """Lose half of all hints."""

    def offer(self: Subscriber, hint: Hint) -> None:
        if random.random() < 0.5:
            _offer(self, hint)

    Subscriber.offer = offer


@sabotage
def double_hints() -> None:
    """Offer each hint twice, and once more later."""

    def offer(self: Subscriber, hint: Hint) -> None:
        _offer(self, hint)
        _offer(self, hint)
        _offer_later(self, hint)

    Subscriber.offer = offer


@sabotage
def reorder_hints() -> None:
    """Hold each hint back for a time of its own."""
    Subscriber.offer = _offer_later


@sabotage
def fill_buffers() -> None:
    """Write events more slowly than hints come in, into buffers of one."""
    start, write = Subscribers.__init__, ResponseStream.next

    def start_small(self: Subscribers, *, backlog: int = 100) -> None:
        start(self, backlog=1)

    async def write_slowly(self: ResponseStream, answer: Answer) -> None:
        await asyncio.sleep(0.03)
        await write(self, answer)

    Subscribers.__init__ = start_small
    ResponseStream.next = write_slowly


@sabotage
def overflow_silently() -> None:
    """Forget, when a buffer is full, to have its reader look at the log."""

    def offer(self: Subscriber, hint: Hint) -> None:
        # Only the first is taken while the reader is busy.
        if getattr(self, "waiting", True):
            self.waiting = False
            _offer(self, hint)

    async def next_hint(self: Subscriber) -> Hint | None:
        self.waiting = True
        return await _next(self)

    _next = Subscriber.next
    Subscriber.offer, Subscriber.next = offer, next_hint


def _offer_later(subscriber: Subscriber, hint: Hint) -> None:
    asyncio.get_running_loop().call_later(random.uniform(0, 0.1), _offer, subscriber, hint)

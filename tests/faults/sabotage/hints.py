"""Hints that are lost, duplicated, reordered, or too many."""

import asyncio
import random
from weakref import WeakSet

from execution.answers import Answer
from realtime.hints import Hint
from realtime.relays.unix_sockets import Peer
from realtime.subscribers import Subscriber, Subscribers
from server.streams.operation import OperationStream


def lose_peers(number: int) -> None:
    """Close the connection to another process together with its unsent data, in three cases of ten."""
    send = Peer.send

    def send_or_lose(self: Peer, data: bytes, hints: int) -> None:
        if random.random() < 0.3:
            self.transport.abort()
        else:
            send(self, data, hints)

    Peer.send = send_or_lose


def drop_hints(number: int) -> None:
    """Drop nine hints of ten."""
    offer = Subscriber.offer

    def offer_by_chance(self: Subscriber, hint: Hint) -> None:
        if random.random() < 0.1:
            offer(self, hint)

    Subscriber.offer = offer_by_chance


def double_hints(number: int) -> None:
    """Offer each hint twice, and a third time later."""
    offer = Subscriber.offer

    def offer_thrice(self: Subscriber, hint: Hint) -> None:
        offer(self, hint)
        offer(self, hint)
        asyncio.get_running_loop().call_later(random.uniform(0, 0.1), offer, self, hint)

    Subscriber.offer = offer_thrice


def reorder_hints(number: int) -> None:
    """Delay each hint by a different time."""
    offer = Subscriber.offer

    def offer_later(self: Subscriber, hint: Hint) -> None:
        asyncio.get_running_loop().call_later(random.uniform(0, 0.1), offer, self, hint)

    Subscriber.offer = offer_later


def fill_buffers(number: int) -> None:
    """Write events more slowly than hints arrive, into buffers of one."""
    start, write = Subscribers.__init__, OperationStream.next

    def start_small(self: Subscribers, *, backlog: int = 100) -> None:
        start(self, backlog=1)

    async def write_slowly(self: OperationStream, answer: Answer) -> None:
        await asyncio.sleep(0.03)
        await write(self, answer)

    Subscribers.__init__ = start_small

    def execute_later(self: OperationStream, cursor: str, event: object) -> None:
        return None

    OperationStream.next, OperationStream.execute_at_once = write_slowly, execute_later


def overflow_silently(number: int) -> None:
    """When a buffer is full, do not have its reader read the log."""
    offer, take = Subscriber.offer, Subscriber.next
    full: WeakSet[Subscriber] = WeakSet()

    def offer_while_there_is_room(self: Subscriber, hint: Hint) -> None:
        if self not in full:
            full.add(self)
            offer(self, hint)

    async def take_and_make_room(self: Subscriber) -> Hint | None:
        full.discard(self)
        return await take(self)

    Subscriber.offer, Subscriber.next = offer_while_there_is_room, take_and_make_room

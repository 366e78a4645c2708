"""Subscribers that attach too late."""

import asyncio
from uuid import UUID

from realtime.hints import Hint
from realtime.subscribers import Subscriber, Subscribers

_WINDOW_SECONDS = 4


class _LateSubscriber(Subscriber):
    """Attaches when its reader first waits for a hint, which is after it has read the log."""

    def __init__(self, subscribers: Subscribers, user_id: UUID) -> None:
        super().__init__(user_id)
        self._subscribers = subscribers
        self.is_late = True

    @property
    def is_woken(self) -> bool:
        # Its reader must not rely on another stream.
        return True

    async def next(self) -> Hint | None:
        if self.is_late:
            await asyncio.sleep(_WINDOW_SECONDS)
            self.real = _attach(self._subscribers, self.user_id)
            self.is_late = False
        return await self.real.next()


_attach, _detach = Subscribers.attach, Subscribers.detach


def read_before_attach(number: int) -> None:
    """Read the log first, and attach to the broadcaster a moment later."""

    def attach(self: Subscribers, user_id: UUID) -> Subscriber:
        return _LateSubscriber(self, user_id)

    def detach(self: Subscribers, subscriber: Subscriber) -> None:
        if isinstance(subscriber, _LateSubscriber) and not subscriber.is_late:
            _detach(self, subscriber.real)

    Subscribers.attach, Subscribers.detach = attach, detach

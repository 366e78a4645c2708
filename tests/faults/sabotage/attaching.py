"""Subscribers that attach too late."""

import asyncio
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from uuid import UUID

from realtime.hints import Hint
from realtime.subscribers import Subscriber, Subscribers

_WINDOW_SECONDS = 4


class _LateSubscriber(Subscriber):
    """Attaches when its reader first asks for a hint, which is after it has read the log."""

    def __init__(self, subscribers: Subscribers, user_id: UUID, attached: ExitStack) -> None:
        super().__init__()
        self._subscribers, self._user_id, self._attached_for = subscribers, user_id, attached
        self._real: Subscriber | None = None

    async def next(self) -> Hint | None:
        if self._real is None:
            await asyncio.sleep(_WINDOW_SECONDS)
            self._real = self._attached_for.enter_context(_attached(self._subscribers, self._user_id))
        return await self._real.next()


_attached = Subscribers.attached


def read_before_attach(number: int) -> None:
    """Read the log, and attach to the broadcaster a moment later."""

    @contextmanager
    def attached(self: Subscribers, user_id: UUID) -> Generator[Subscriber]:
        with ExitStack() as stack:
            yield _LateSubscriber(self, user_id, stack)

    Subscribers.attached = attached

"""Messages to conversations that another transaction has locked, which wait separately from all others."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from uuid import UUID

_T = TypeVar("_T")

# The maximum number of connections that wait for locks; the others remain available.
_MOST_CONNECTIONS = 2
# After waiting for a lock has timed out, its conversation is considered locked for this long.
_HELD_SECONDS = 10


class HeldConversations(Generic[_T]):
    """Stores the messages of each locked conversation in order, one at a time, without delaying others."""

    def __init__(self, store: Callable[[_T], Awaitable[bool]]) -> None:
        """Store messages with `store`, which does not raise and returns whether it got its locks."""
        self._store = store
        self._waiting: dict[UUID, deque[_T]] = {}
        self._held_until: dict[UUID, float] = {}
        self._room = asyncio.Semaphore(_MOST_CONNECTIONS)
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return the number of waiting messages."""
        return sum(map(len, self._waiting.values()))

    def holds(self, conversation_id: UUID) -> bool:
        """Return whether messages to the conversation must be added here."""
        if conversation_id in self._waiting:
            return True
        return bool(self._held_until) and self._held_until.get(conversation_id, 0) > time.monotonic()

    def add(self, conversation_id: UUID, message: _T) -> None:
        """Store the message after those that were added for the conversation before it."""
        waiting = self._waiting.get(conversation_id)
        if waiting is not None:
            waiting.append(message)
            return
        self._waiting[conversation_id] = deque([message])
        task = asyncio.create_task(self._store_all(conversation_id), name="held conversation")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _store_all(self, conversation_id: UUID) -> None:
        waiting = self._waiting[conversation_id]
        try:
            while waiting:
                async with self._room:
                    got_locks = await self._store(waiting[0])
                waiting.popleft()
                self._note(conversation_id, is_held=not got_locks)
        finally:
            del self._waiting[conversation_id]

    def _note(self, conversation_id: UUID, *, is_held: bool) -> None:
        now = time.monotonic()
        self._held_until = {held: until for held, until in self._held_until.items() if until > now}
        self._held_until.pop(conversation_id, None)
        if is_held:
            self._held_until[conversation_id] = now + _HELD_SECONDS

    async def drained(self) -> None:
        """Wait until all messages that were added have been stored."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> list[_T]:
        """Stop storing, and return the messages that have not been stored."""
        left = [message for waiting in self._waiting.values() for message in waiting]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return left

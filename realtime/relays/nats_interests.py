"""The subjects that a process subscribes to: those of the users who have a stream in it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

# How long a stream waits for the subscription of its subject. After that it reads the log later.
_SUBSCRIBE_SECONDS = 1

# While reconnecting, nats-py writes to the closed transport, and uvloop raises a RuntimeError.
CONNECTION_ERRORS = (OSError, TimeoutError, RuntimeError, nats.errors.Error)

log = structlog.stdlib.get_logger(__name__)


def subject_of(user_id: UUID) -> str:
    """Return the subject of a user's hints."""
    return f"messenger.inbox.{user_id.hex}"


def user_of(subject: str) -> UUID:
    """Return the user of a subject.

    Raises:
        ValueError: the subject is something else.
    """
    return UUID(subject.rpartition(".")[2])


@dataclass(slots=True)
class _Interest:
    """The number of a user's streams in this process, and the subscription to the user's subject."""

    streams: int = 0
    subscription: Subscription | None = None
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)


class Interests:
    """The users who have a stream in this process, and the subscriptions of their subjects.

    `add` and `remove` record changes, and `subscribe` applies them.
    """

    def __init__(self, receive: Callable[[Msg], Awaitable[None]], note_change: Callable[[], None]) -> None:
        """Have `receive` called with each message, and call `note_change` when `subscribe` is due."""
        self._receive = receive
        self._note_change = note_change
        self._interests: dict[UUID, _Interest] = {}
        self._changed: dict[UUID, None] = {}

    async def add(self, user_id: UUID) -> None:
        """Count one more stream of the user, and wait until NATS sends the user's hints."""
        interest = self._interests.setdefault(user_id, _Interest())
        interest.streams += 1
        self._note(user_id)
        try:
            async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                await interest.subscribed.wait()
        except TimeoutError:
            log.warning("NATS subscription timed out: hints may be late")

    def remove(self, user_id: UUID) -> None:
        """Undo one `add`."""
        self._interests[user_id].streams -= 1
        self._note(user_id)

    def _note(self, user_id: UUID) -> None:
        self._changed[user_id] = None
        self._note_change()

    def forget_subscriptions(self) -> None:
        """Subscribe to all subjects again, because the client is new."""
        for user_id, interest in self._interests.items():
            interest.subscription = None
            self._changed[user_id] = None

    async def subscribe(self, client: Client) -> None:
        """Apply the changes since the last call."""
        changed, self._changed = self._changed, {}
        fresh: list[_Interest] = []
        for user_id in changed:
            interest = self._interests.get(user_id)
            if interest is None:
                continue
            if interest.streams and interest.subscription is None:
                interest.subscription = await client.subscribe(  # pyright: ignore[reportUnknownMemberType]  # a bare Future in its types
                    subject_of(user_id), cb=self._receive
                )
                fresh.append(interest)
            elif not interest.streams:
                del self._interests[user_id]
                if interest.subscription is not None:
                    await interest.subscription.unsubscribe()
        if fresh:
            try:
                # The server responds after it has processed the subscriptions.
                await client.flush(timeout=_SUBSCRIBE_SECONDS)
            except CONNECTION_ERRORS:
                log.warning("NATS flush timed out")
        for interest in fresh:
            interest.subscribed.set()

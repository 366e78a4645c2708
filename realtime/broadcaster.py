"""What every broadcaster does: carry hints from where a message was stored to where its readers are."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from realtime.hints import Hint, Subscriber


class Broadcaster(Protocol):
    """Carries hints to the subscribers of a user.

    It may lose, repeat and reorder them: nobody notices more than a delay.
    """

    async def publish(self, hints: Sequence[Hint]) -> None:
        """Offer each hint to the subscribers of its user."""
        ...

    def subscribe(self, user_id: UUID) -> AbstractAsyncContextManager[Subscriber]:
        """Attach a subscriber for as long as the block runs; hints published from then on reach it."""
        ...

"""What the clients of a round share: what they did, what became of it, and when to stop."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from tests.faults.accounts import Company
from tests.faults.operations import Changed, Operation

_Operation = TypeVar("_Operation", bound=Operation)


@dataclass(frozen=True)
class History:
    """The operations of a company, each noted before it is tried for the first time."""

    company: Company
    losses: Sequence[float]
    """When the database lost transactions that had been committed."""
    operations: list[Operation] = field(default_factory=list[Operation])
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever something has been acknowledged or received."""
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there shall be no more operations."""

    def acknowledge(self, operation: Operation) -> None:
        """Note that the operation has been acknowledged just now."""
        operation.acknowledged_at = time.monotonic()

    def may_be_lost(self, moment: float) -> bool:
        """Return whether the database may have lost what was acknowledged at this time."""
        return any(moment <= loss for loss in self.losses)

    def of(self, kind: type[_Operation]) -> Iterator[_Operation]:
        """Yield the operations of a kind, acknowledged or not."""
        return (operation for operation in self.operations if isinstance(operation, kind))

    def lasting(self, kind: type[_Operation]) -> Iterator[_Operation]:
        """Yield those that have been acknowledged, and that the database must still have."""
        for operation in self.of(kind):
            moment = operation.acknowledged_at
            if moment is not None and not self.may_be_lost(moment):
                yield operation

    def versions(self) -> dict[UUID, list[tuple[float, int]]]:
        """Return which versions of each changed message have been acknowledged, and when."""
        found: dict[UUID, list[tuple[float, int]]] = {}
        for change in self.lasting(Changed):
            if change.result is not None and change.acknowledged_at is not None:
                moment = (change.acknowledged_at, change.result.version)
                found.setdefault(change.message_id, []).append(moment)
        return found

"""Budgets: the work that a client may cause per unit of time, counted in fields.

Requests, events and new documents are charged to them.
"""

from typing import Protocol

WORK_PER_SECOND = 100_000
"""The number of fields that a second of processor time counts as."""

BYTES_PER_FIELD = 100
"""The number of bytes in an answer that count as one more field."""


WORK_PER_STATEMENT = 40
"""The number of fields that a statement of the database counts as."""


class Budget(Protocol):
    """The budget of one user or one IP address."""

    def check(self) -> None:
        """Check that work of unknown size may start.

        Raises:
            RateLimited: the budget is exhausted.
        """
        ...

    def take(self, work: int) -> int:
        """Reserve the maximum that an operation can cost, or a full budget; return how much is reserved.

        Raises:
            RateLimited: less than that is left.
        """
        ...

    def take_bytes(self, count: int) -> None:
        """Charge a part of an answer, unless the budget is exhausted already.

        Raises:
            RateLimited: the budget is exhausted.
        """
        ...

    def charge(self, work: float) -> None:
        """Charge work already done, even if that overdraws the budget. A negative amount is a refund."""
        ...

    async def wait_for(self, work: int) -> int:
        """Wait until the budget has this much, or is full, and reserve it; return how much is reserved.

        Raises:
            RateLimited: the wait would be too long.
        """
        ...


class _Unlimited:
    def check(self) -> None:
        """Do nothing."""

    def take(self, work: int) -> int:
        """Do nothing."""
        return work

    def take_bytes(self, count: int) -> None:
        """Do nothing."""

    def charge(self, work: float) -> None:
        """Do nothing."""

    async def wait_for(self, work: int) -> int:
        """Do nothing."""
        return work


UNLIMITED: Budget = _Unlimited()

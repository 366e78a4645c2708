"""What a caller may have done in a time, counted in fields: requests, events and new documents draw on it."""

from typing import Protocol

WORK_PER_SECOND = 100_000
"""How many fields a second of processor time counts as, where time is measured and not fields."""

BYTES_PER_FIELD = 100
"""How many bytes of an answer count as one field more."""


class Budget(Protocol):
    """The budget of one user, or of one address."""

    def check(self) -> None:
        """Accept that something begins whose work is not known yet.

        Raises:
            RateLimited: the budget is used up.
        """
        ...

    def take(self, work: int) -> None:
        """Draw the most that something can come to.

        Raises:
            RateLimited: there is not that much left.
        """
        ...

    def charge(self, work: float) -> None:
        """Draw what something has come to, though it is more than there is; give back what is negative."""
        ...

    async def wait_for(self, work: int) -> None:
        """Draw that much as soon as it is there.

        Raises:
            RateLimited: that would take too long.
        """
        ...


class _Unlimited:
    def check(self) -> None:
        """Accept everything."""

    def take(self, work: int) -> None:
        """Accept everything."""

    def charge(self, work: float) -> None:
        """Count nothing."""

    async def wait_for(self, work: int) -> None:
        """Wait for nothing."""


UNLIMITED: Budget = _Unlimited()

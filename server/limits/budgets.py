"""Budgets for the work that each user and each address causes in this process, in fields per minute.

A budget is a token bucket that holds one minute's worth and refills steadily. Requests are rejected while it
does not cover their maximum cost. Events wait for it, and a stream ends if its events would wait too long.

Work whose cost is known only afterwards may overdraw a budget: parsing, the last part of an answer, and
events. A debt is at most one minute's worth, so that its owner waits for a minute at most, as with the other
limits. Little is forgiven: before each request and each part of a large answer, the budget is checked.
"""

import asyncio
import time
from math import ceil
from uuid import UUID

from cachetools import LRUCache

from execution.budgets import BYTES_PER_FIELD, UNLIMITED, Budget
from resolvers.errors import RateLimited
from server.config.settings import Settings

_MAX_BUDGETS = 100_000
_MAX_WAIT_SECONDS = 10


class TokenBucket:
    """The budget of one user or address."""

    __slots__ = ("__weakref__", "_capacity", "_left", "_owner", "_per_second", "_refilled_at")

    def __init__(self, per_minute: int, owner: str) -> None:
        """Start full; `owner` is the beginning of error messages, such as `You have`."""
        self._owner = owner
        self._capacity = per_minute
        self._per_second = per_minute / 60
        self._left: float = per_minute
        self._refilled_at = time.monotonic()

    def check(self) -> None:
        """Allow work whose cost is not known yet, as long as something is left.

        Raises:
            RateLimited: the budget is used up.
        """
        self._refill()
        if self._left <= 0:
            raise self._refusal(1 - self._left)

    def take(self, work: int) -> int:
        """Withdraw the maximum cost of some work, or a full budget if that is less; return the amount.

        Raises:
            RateLimited: the budget does not cover it.
        """
        self._refill()
        work = min(work, self._capacity)
        if work > self._left:
            raise self._refusal(work - self._left)
        self._left -= work
        return work

    def take_bytes(self, count: int) -> None:
        """Withdraw the cost of this many bytes of an answer, as long as something is left.

        Raises:
            RateLimited: the budget is used up.
        """
        self.check()
        self._left -= count / BYTES_PER_FIELD

    def charge(self, work: float) -> None:
        """Withdraw the actual cost, even if less is left; a negative cost is paid back."""
        self._left -= work

    async def wait_for(self, work: int) -> int:
        """Withdraw the cost, or a full budget, once that is there; return the amount.

        Waiting callers are served in order.

        Raises:
            RateLimited: that would take more than ten seconds.
        """
        self._refill()
        work = min(work, self._capacity)
        lacking = work - self._left
        if lacking > _MAX_WAIT_SECONDS * self._per_second:
            raise self._refusal(lacking)
        self._left -= work
        if lacking > 0:
            await asyncio.sleep(lacking / self._per_second)
        return work

    def _refill(self) -> None:
        now = time.monotonic()
        left = max(self._left, -self._capacity)
        self._left = min(self._capacity, left + (now - self._refilled_at) * self._per_second)
        self._refilled_at = now

    def _refusal(self, lacking: float) -> RateLimited:
        seconds = max(1, ceil(lacking / self._per_second))
        return RateLimited(
            f"{self._owner} used up the budget of {self._capacity} fields per minute."
            f" Try again in {seconds} seconds.",
            seconds,
        )


class Budgets:
    """The budgets of this process: at most 100,000, from which the least recently used are evicted."""

    def __init__(self, settings: Settings) -> None:
        self._is_on = settings.rate_limits
        self._of_user = settings.cost_per_minute_per_user
        self._of_address = settings.cost_per_minute_per_address
        self._buckets = LRUCache[UUID | str, TokenBucket](_MAX_BUDGETS)

    def of(self, user_id: UUID | None, address: str | None) -> Budget:
        """Return the budget of the user, or without a user that of the address."""
        key = user_id or address
        if not self._is_on or key is None:
            return UNLIMITED
        found = self._buckets.get(key)
        if found is None:
            if user_id is not None:
                found = TokenBucket(self._of_user, "You have")
            else:
                found = TokenBucket(self._of_address, "Your address has")
            self._buckets[key] = found
        return found

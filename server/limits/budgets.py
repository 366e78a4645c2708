"""What each user and each address may have this process do in a minute, counted in fields.

A budget is a token bucket: it holds a minute's worth, and fills steadily. Requests are refused while it lacks
what they may come to; events wait for it, and a stream whose events would wait too long ends.
"""

import asyncio
import time
from math import ceil
from uuid import UUID

from cachetools import LRUCache

from execution.budgets import UNLIMITED, Budget
from resolvers.errors import RateLimited
from server.config.settings import Settings

_MOST_BUDGETS = 100_000
_MOST_SECONDS_TO_WAIT = 10


class TokenBucket:
    """One budget."""

    __slots__ = ("_at", "_left", "_most", "_per_second", "_whose")

    def __init__(self, per_minute: int, whose: str) -> None:
        """Begin with a full minute's worth; `whose` begins the sentences of refusals."""
        self._whose = whose
        self._most = per_minute
        self._per_second = per_minute / 60
        self._left: float = per_minute
        self._at = time.monotonic()

    def check(self) -> None:
        """Accept that something begins whose work is not known yet.

        Raises:
            RateLimited: the budget is used up.
        """
        self._refill()
        if self._left <= 0:
            raise self._refusal(1 - self._left)

    def take(self, work: int) -> None:
        """Draw the most that something can come to.

        Raises:
            RateLimited: there is not that much left.
        """
        self._refill()
        # What is larger than the whole budget needs all of it.
        lacking = min(work, self._most) - self._left
        if lacking > 0:
            raise self._refusal(lacking)
        self._left -= work

    def charge(self, work: float) -> None:
        """Draw what something has come to, though it is more than there is; give back what is negative."""
        self._left -= work

    async def wait_for(self, work: int) -> None:
        """Draw that much as soon as it is there; those who wait are served in order.

        Raises:
            RateLimited: that would take over ten seconds.
        """
        self._refill()
        lacking = min(work, self._most) - self._left
        if lacking > _MOST_SECONDS_TO_WAIT * self._per_second:
            raise self._refusal(lacking)
        self._left -= work
        if lacking > 0:
            await asyncio.sleep(lacking / self._per_second)

    def _refill(self) -> None:
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now

    def _refusal(self, lacking: float) -> RateLimited:
        seconds = max(1, ceil(lacking / self._per_second))
        return RateLimited(
            f"{self._whose} used up the budget of {self._most} fields a minute."
            f" Try again in {seconds} seconds.",
            seconds,
        )


class Budgets:
    """The budgets of this process; of more than 100,000, those used least recently are forgotten."""

    def __init__(self, settings: Settings) -> None:
        """Have all be full."""
        self._is_on = settings.rate_limits
        self._of_user = settings.cost_per_minute_per_user
        self._of_address = settings.cost_per_minute_per_address
        self._buckets = LRUCache[UUID | str, TokenBucket](_MOST_BUDGETS)

    def of(self, user_id: UUID | None, address: str | None) -> Budget:
        """Return the budget of the user, or of the address if nobody is signed in."""
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

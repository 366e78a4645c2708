"""Rate limits for each user and each address.

Each process counts requests by itself, because they cost that process. Sign-ins, messages, new conversations
and changed profiles cost the whole installation, so several processes count them together.
"""

import time
from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from uuid import UUID

import structlog
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from db.engine import Database
from resolvers.errors import RateLimited
from server.config.settings import RateLimitStore, Settings
from server.http.connections import connection_of
from server.http.refusals import HttpRefusal, TooManyFromAddress, rate_limited
from server.limits.budgets import Budgets
from server.limits.rate_storage import DatabaseCounts, ProcessCounts

log = structlog.stdlib.get_logger(__name__)

# A customer gets at least a /64 network of IPv6, and can use another of its addresses for each request.
_IPV6_NETWORK_BITS = 64
_NOT_LIMITED = ("/health/", "/metrics")

# Parsing a long query of a URL takes up to 300 nanoseconds for each byte.
_UNCHARGED_QUERY_BYTES = 2048
_QUERY_BYTES_PER_FIELD = 32


class RateLimits:
    """The rate limits of the settings."""

    def __init__(self, settings: Settings, database: Database) -> None:
        store = settings.rate_limit_store
        if store is None:
            store = RateLimitStore.DATABASE if settings.workers > 1 else RateLimitStore.PROCESS
        own = ProcessCounts()
        shared: Storage = DatabaseCounts(database) if store is RateLimitStore.DATABASE else own
        self.is_on = settings.rate_limits
        """Whether anything is counted."""
        self._own = FixedWindowRateLimiter(own)
        self._shared = FixedWindowRateLimiter(shared)
        self._of_address = RateLimitItemPerMinute(settings.requests_per_minute_per_address)
        self._of_user = RateLimitItemPerMinute(settings.requests_per_minute_per_user)
        self._sign_ins = RateLimitItemPerMinute(settings.sign_ins_per_minute_per_address)
        self._messages = RateLimitItemPerMinute(settings.messages_per_minute_per_user)
        self._conversations = RateLimitItemPerMinute(settings.conversations_per_minute_per_user)
        self._profile_changes = RateLimitItemPerHour(settings.profile_changes_per_hour_per_user)

    async def count_request_from(self, address: str | None) -> None:
        """Count a request from an address.

        Raises:
            HttpRefusal: 429, the address has reached its limit.
        """
        if address is not None:
            retry_after = await self._count(self._own, self._of_address, "requests", address)
            if retry_after:
                raise _too_many_from_address("There are too many requests from your address", retry_after)

    async def count_request_by(self, user_id: UUID) -> None:
        """Count a request from a user.

        Raises:
            HttpRefusal: 429, the user has reached their limit.
        """
        retry_after = await self._count(self._own, self._of_user, "requests", str(user_id))
        if retry_after:
            raise _too_many("You have sent too many requests", retry_after)

    async def count_sign_in_from(self, address: str | None) -> None:
        """Count a sign-in attempt from an address.

        Raises:
            HttpRefusal: 429, the address has reached its limit.
        """
        if address is not None:
            retry_after = await self._count(self._shared, self._sign_ins, "sign-ins", address)
            if retry_after:
                raise _too_many_from_address("There are too many sign-ins from your address", retry_after)

    async def count_message(self, user_id: UUID) -> None:
        """Count a message from a user.

        Raises:
            RateLimited: the user has reached their limit.
        """
        await self._count_of_user(
            self._messages, "messages", user_id, "You have sent {} messages in the last minute"
        )

    async def count_conversation(self, user_id: UUID) -> None:
        """Count a new conversation of a user.

        Raises:
            RateLimited: the user has reached their limit.
        """
        await self._count_of_user(
            self._conversations,
            "conversations",
            user_id,
            "You have opened {} new conversations in the last minute",
        )

    async def count_profile_change(self, user_id: UUID) -> None:
        """Count a change of a user's name or picture.

        Raises:
            RateLimited: the user has reached their limit.
        """
        await self._count_of_user(
            self._profile_changes,
            "profile changes",
            user_id,
            "You have changed your profile {} times in the last hour",
        )

    async def _count_of_user(self, item: RateLimitItem, what: str, user_id: UUID, done: str) -> None:
        retry_after = await self._count(self._shared, item, what, str(user_id))
        if retry_after:
            raise RateLimited(f"{done.format(item.amount)}. Try again in {_shown(retry_after)}.", retry_after)

    async def _count(
        self, limiter: FixedWindowRateLimiter, item: RateLimitItem, what: str, whose: str
    ) -> int:
        """Count once; return 0 within the limit, or else in how many seconds to try again."""
        if not self.is_on or await limiter.hit(item, what, whose):
            return 0
        stats = await limiter.get_window_stats(item, what, whose)
        return max(1, ceil(stats.reset_time - time.time()))


class AddressLimit:
    """Counts requests by address, before anything else is done with them."""

    def __init__(self, limits: RateLimits, budgets: Budgets, trusted_proxies: Collection[str]) -> None:
        self.is_on = limits.is_on
        self._limits = limits
        self._budgets = budgets
        self._trusted_proxies = trusted_proxies
        self._has_warned = False

    async def count(self, request: HTTPConnection) -> None:
        """Count a request, and charge a long URL to the budget of its address.

        Raises:
            HttpRefusal: 429, its address has reached its limit, or used up its budget.
        """
        if not self.is_on:
            return
        address = address_of(request)
        await self._limits.count_request_from(address)
        length = len(request.scope["query_string"])
        if length > _UNCHARGED_QUERY_BYTES:
            try:
                self._budgets.of(None, address).take(length // _QUERY_BYTES_PER_FIELD)
            except RateLimited as error:
                raise rate_limited(error) from error

    def suspect_proxy(self, request: HTTPConnection) -> None:
        """Warn once that an address that has reached a limit may be the address of an unknown proxy."""
        if not self._has_warned and not self._trusted_proxies and "x-forwarded-for" in request.headers:
            self._has_warned = True
            log.warning(
                "requests rejected that may come through an unknown proxy",
                address=address_of(request),
                setting="MESSENGER_TRUSTED_PROXIES",
            )


class LimitedRequests:
    """Middleware that counts requests by address."""

    def __init__(self, app: ASGIApp, limit: AddressLimit) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(_NOT_LIMITED):
            await self._limit.count(HTTPConnection(scope))
        await self._app(scope, receive, send)


def address_of(request: HTTPConnection) -> str | None:
    """Return the address to count the request by, or None if it is unknown.

    Behind a trusted proxy (MESSENGER_TRUSTED_PROXIES) it is the address of the proxy's client, or of the
    proxy itself if X-Forwarded-For does not contain an address.
    """
    client, peer = request.client, connection_of(request.scope).client
    return (client and _counted_address(client.host)) or (peer and _counted_address(peer[0])) or None


@lru_cache(4096)
def _counted_address(host: str) -> str | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{int(address) >> (128 - _IPV6_NETWORK_BITS):x}::/{_IPV6_NETWORK_BITS}"
    return str(address)


def _shown(seconds: int) -> str:
    return f"{seconds} seconds" if seconds <= 120 else f"{ceil(seconds / 60)} minutes"


def _too_many_from_address(what: str, retry_after: int) -> HttpRefusal:
    return TooManyFromAddress(f"{what}. Try again in {retry_after} seconds.", retry_after)


def _too_many(what: str, retry_after: int) -> HttpRefusal:
    return HttpRefusal(
        429,
        "RATE_LIMITED",
        f"{what}. Try again in {retry_after} seconds.",
        {"retry-after": str(retry_after)},
    )

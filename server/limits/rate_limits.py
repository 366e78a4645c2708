"""How often one user, or one address, may do something.

What costs this process something, requests, is counted by it alone. What costs the whole installation,
sign-ins and messages, is counted for all processes together where there are several.
"""

import time
from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from uuid import UUID

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from db.engine import Database
from resolvers.errors import RateLimited
from server.config.settings import RateLimitStore, Settings
from server.http.connections import connection_of
from server.http.refusals import HttpRefusal, TooManyFromAddress
from server.limits.rate_storage import DatabaseCounts, ProcessCounts

log = structlog.stdlib.get_logger(__name__)

# One network of IPv6 is one customer's, who may take another address of it for each request.
_IPV6_NETWORK_BITS = 64
_NOT_LIMITED = ("/health/", "/metrics")


class RateLimits:
    """The limits that the settings name."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Count from now on."""
        store = settings.rate_limit_store
        if store is None:
            store = RateLimitStore.DATABASE if settings.workers > 1 else RateLimitStore.PROCESS
        own = ProcessCounts()
        shared: Storage = DatabaseCounts(database) if store is RateLimitStore.DATABASE else own
        self._is_on = settings.rate_limits
        self._own = FixedWindowRateLimiter(own)
        self._shared = FixedWindowRateLimiter(shared)
        self._of_address = RateLimitItemPerMinute(settings.requests_per_minute_per_address)
        self._of_user = RateLimitItemPerMinute(settings.requests_per_minute_per_user)
        self._sign_ins = RateLimitItemPerMinute(settings.sign_ins_per_minute_per_address)
        self._messages = RateLimitItemPerMinute(settings.messages_per_minute_per_user)

    async def count_request_from(self, address: str | None) -> None:
        """Count a request.

        Raises:
            HttpRefusal: 429, too many come from this address.
        """
        if address is not None:
            retry_after = await self._count(self._own, self._of_address, "requests", address)
            if retry_after:
                raise _too_many_from_address("Too many requests come from your address", retry_after)

    async def count_request_by(self, user_id: UUID) -> None:
        """Count a request.

        Raises:
            HttpRefusal: 429, the user has sent too many.
        """
        retry_after = await self._count(self._own, self._of_user, "requests", str(user_id))
        if retry_after:
            raise _too_many("You have sent too many requests", retry_after)

    async def count_sign_in_from(self, address: str | None) -> None:
        """Count an attempt to sign in.

        Raises:
            HttpRefusal: 429, too many come from this address.
        """
        if address is not None:
            retry_after = await self._count(self._shared, self._sign_ins, "sign-ins", address)
            if retry_after:
                raise _too_many_from_address("Too many sign-ins come from your address", retry_after)

    async def count_message(self, user_id: UUID) -> None:
        """Count a message.

        Raises:
            RateLimited: the user has written too many.
        """
        retry_after = await self._count(self._shared, self._messages, "messages", str(user_id))
        if retry_after:
            raise RateLimited(
                f"You have written {self._messages.amount} messages within a minute: go on in"
                f" {retry_after} seconds.",
                retry_after,
            )

    async def _count(
        self, limiter: FixedWindowRateLimiter, item: RateLimitItem, what: str, whose: str
    ) -> int:
        """Return in how many seconds to come back, 0 when this once is within the limit."""
        if not self._is_on or await limiter.hit(item, what, whose):
            return 0
        stats = await limiter.get_window_stats(item, what, whose)
        return max(1, ceil(stats.reset_time - time.time()))


class AddressLimit:
    """Counts requests by their address, before anything is spent on them."""

    def __init__(self, limits: RateLimits, trusted_proxies: Collection[str]) -> None:
        """Count by these limits, and believe these proxies."""
        self._limits = limits
        self._trusted_proxies = trusted_proxies
        self._has_warned = False

    async def count(self, request: HTTPConnection) -> None:
        """Count a request.

        Raises:
            HttpRefusal: 429, too many come from its address.
        """
        await self._limits.count_request_from(address_of(request))

    def suspect_proxy(self, request: HTTPConnection) -> None:
        """Warn once that an address with too many requests or streams may be an unknown proxy's."""
        if not self._has_warned and not self._trusted_proxies and "x-forwarded-for" in request.headers:
            self._has_warned = True
            log.warning(
                "turned requests away that a proxy may have passed on: name it in MESSENGER_TRUSTED_PROXIES",
                address=address_of(request),
            )


class LimitedRequests:
    """Middleware that counts requests by their address."""

    def __init__(self, app: ASGIApp, limit: AddressLimit) -> None:
        """Wrap the application."""
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless there are too many."""
        if scope["type"] == "http" and not scope["path"].startswith(_NOT_LIMITED):
            await self._limit.count(HTTPConnection(scope))
        await self._app(scope, receive, send)


def address_of(request: HTTPConnection) -> str | None:
    """Return where the request comes from, as far as it is counted; None where that cannot be told.

    Behind a proxy that is trusted to say so (MESSENGER_TRUSTED_PROXIES), it is the proxy's client, or the
    proxy itself if what it hands on is not an address.
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


def _too_many_from_address(what: str, retry_after: int) -> HttpRefusal:
    return TooManyFromAddress(f"{what}: try again in {retry_after} seconds.", retry_after)


def _too_many(what: str, retry_after: int) -> HttpRefusal:
    return HttpRefusal(
        429,
        "RATE_LIMITED",
        f"{what}: try again in {retry_after} seconds.",
        {"retry-after": str(retry_after)},
    )

"""Requests to other servers: with a timeout, and without following redirects."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2

TIMEOUT_SECONDS = 10

# Trusts the system's certificates, which include an organisation's own. Created once, because it is slow.
TLS = httpx2.create_ssl_context()


class ServiceUnavailable(Exception):
    """Another server does not respond, or its response is not usable."""


@asynccontextmanager
async def unavailable_on_failure(what: str) -> AsyncGenerator[None]:
    """Give the block 10 seconds, and turn failures of the other server into `ServiceUnavailable`."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            yield
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError, ValueError) as error:
        raise ServiceUnavailable(f"{what}: {type(error).__name__}: {error}") from error


async def get_json(url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Fetch a JSON object.

    Raises:
        ServiceUnavailable: the request fails, or the response is something else.
    """
    async with unavailable_on_failure(url), httpx2.AsyncClient(verify=TLS) as client:
        response = await client.get(url, headers={"accept": "application/json", **(headers or {})})
        response.raise_for_status()
        value: object = response.json()
    if not isinstance(value, dict):
        raise ServiceUnavailable(f"{url}: the response is not a JSON object")
    return cast("dict[str, Any]", value)

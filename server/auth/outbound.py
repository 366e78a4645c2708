"""Asking other servers: bounded in time, and never where one of them redirects us to."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2

TIMEOUT_SECONDS = 10

# The system's certificates, which hold a team's own ones too. Made once: it takes a while.
TLS = httpx2.create_ssl_context()


class Unavailable(Exception):
    """Another server does not answer, or not with what it should."""


@asynccontextmanager
async def patience(what: str) -> AsyncGenerator[None]:
    """Give the block 10 seconds; what goes wrong with the other server is `Unavailable`."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            yield
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError, ValueError) as error:
        raise Unavailable(f"{what}: {type(error).__name__}: {error}") from error


async def get_json(url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object that is there.

    Raises:
        Unavailable: there is none.
    """
    async with patience(url), httpx2.AsyncClient(verify=TLS) as client:
        response = await client.get(url, headers={"accept": "application/json", **(headers or {})})
        response.raise_for_status()
        value: object = response.json()
    if not isinstance(value, dict):
        raise Unavailable(f"{url}: the answer is no JSON object")
    return cast("dict[str, Any]", value)

"""Requests from addresses that the tests choose, and their rejections."""

from uuid import uuid4

import httpx

# The tests' own address counts as a proxy here, which forwards the client's address.
BEHIND_A_PROXY = {"rate_limits": "on", "trusted_proxies": "127.0.0.1", "dev_login": "on"}


def an_address() -> dict[str, str]:
    """Return the headers of a request from an address that no other test uses."""
    number = uuid4().int
    return {"x-forwarded-for": f"10.{number % 256}.{number // 256 % 256}.{number // 65536 % 256}"}


def is_refused(response: httpx.Response) -> bool:
    """Return whether the request was rejected, and check that the rejection says when to retry."""
    if response.status_code != 429:
        return False
    assert 1 <= int(response.headers["retry-after"]) <= 60
    body = response.json()
    if response.request.url.path.startswith("/graphql"):
        [error] = body["errors"]
        retry_after = int(response.headers["retry-after"])
        assert error["extensions"] == {"code": "RATE_LIMITED", "retryAfter": retry_after}
    else:
        error = body["error"]
        assert error["code"] == "RATE_LIMITED"
    assert error["message"]
    return True

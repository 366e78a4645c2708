"""The HTTP client of the tests."""

from typing import Any

import httpx


def http_client(base_url: object = "", **options: Any) -> httpx.AsyncClient:
    """Return a client that waits as long as a machine under load may take.

    It does not load the certificates of authorities, which takes 50 ms of CPU time for each client.
    """
    return httpx.AsyncClient(base_url=str(base_url), timeout=30, verify=False, **options)

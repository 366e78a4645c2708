"""Telling a browser's request from another site apart, so that a cookie opens nothing to it.

The method is that of Filippo Valsorda's "Cross-Site Request Forgery" (https://words.filippo.io/csrf/),
applied to GET too, because a stream answers one.
"""

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from starlette.requests import HTTPConnection

from server.settings import LOCAL_HOSTS


def is_cross_site(request: HTTPConnection, public_url: str, allowed_origins: Collection[str]) -> bool:
    """Say whether a page of an origin that is neither ours nor allowed made a browser send this."""
    origin = request.headers.get("origin")
    if origin is not None and (origin in allowed_origins or origin == public_url):
        return False
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    if origin is None:
        return False
    return _parts(origin).netloc != request.headers.get("host")


def is_for_local_host(request: HTTPConnection) -> bool:
    """Say whether the request names this machine as its host.

    A page whose own host name was made to lead here (DNS rebinding) names that one.
    """
    return _parts("//" + request.headers.get("host", "")).hostname in LOCAL_HOSTS


def _parts(url: str) -> SplitResult:
    """Split a URL; one that cannot be is nowhere."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")

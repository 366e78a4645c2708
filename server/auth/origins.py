"""Telling a browser's request from another site apart, so that a cookie opens nothing to it.

The method is that of Filippo Valsorda's "Cross-Site Request Forgery" (https://words.filippo.io/csrf/),
applied to GET too, because a stream answers one.
"""

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from starlette.requests import HTTPConnection

from server.config.loopback import is_loopback

_PROXY_HEADERS = frozenset(
    {
        "forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-forwarded-for",
        "true-client-ip", "cf-connecting-ip", "fastly-client-ip", "fly-client-ip",
    }
)  # fmt: skip


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


def is_of_this_machine(request: HTTPConnection) -> bool:
    """Say whether a program on this machine sent the request to this machine, and no proxy passed it on.

    A page whose own host name was made to lead here (DNS rebinding) names that one as the host. A proxy
    adds a header, or speaks HTTP/1.0, as nginx does unless it is told otherwise.
    """
    if request.client is None or not is_loopback(request.client.host):
        return False
    if request.scope["http_version"] == "1.0" or any(map(_is_of_proxy, request.headers)):
        return False
    return is_loopback(_parts("//" + request.headers.get("host", "")).hostname)


def _is_of_proxy(header: str) -> bool:
    return header in _PROXY_HEADERS or header.startswith("x-forwarded-")


def _parts(url: str) -> SplitResult:
    """Split a URL; one that cannot be is nowhere."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")

"""Recognising requests that pages of other sites send, so that they cannot use the session cookie.

The method is from Filippo Valsorda's "Cross-Site Request Forgery" (https://words.filippo.io/csrf/). It is
applied to GET too, because GET opens streams.
"""

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from starlette.requests import HTTPConnection

from server.config.loopback import is_loopback

_PROXY_HEADERS = frozenset(
    {
        "forwarded", "via", "x-real-ip", "x-client-ip", "client-ip", "x-cluster-client-ip",
        "x-original-forwarded-for", "true-client-ip", "cf-connecting-ip", "cf-ray", "fastly-client-ip",
        "fly-client-ip", "x-azure-clientip", "x-appengine-user-ip", "cdn-loop", "x-original-host",
        "x-envoy-external-address",
    }
)  # fmt: skip


def is_cross_site(request: HTTPConnection, public_url: str, allowed_origins: Collection[str]) -> bool:
    """Return whether a page sent the request whose origin is neither this server's nor allowed."""
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
    """Return whether a program on this machine sent the request to a loopback address, without a proxy.

    A page that uses DNS rebinding sends its own host name as the Host. A proxy adds a header, or speaks
    HTTP/1.0, as nginx does by default.
    """
    if request.client is None or not is_loopback(request.client.host):
        return False
    if request.scope["http_version"] == "1.0" or any(map(_is_of_proxy, request.headers)):
        return False
    return is_loopback(_parts("//" + request.headers.get("host", "")).hostname)


def _is_of_proxy(header: str) -> bool:
    return header in _PROXY_HEADERS or header.startswith("x-forwarded")


def _parts(url: str) -> SplitResult:
    """Split a URL; the parts of a malformed one are empty."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")

"""Reading request headers."""

from starlette.requests import HTTPConnection
from starlette.types import Scope

_FIRST = "messenger.first_headers"


def first_headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the first value of each header, by its name in lower case.

    It is computed once for each request, which looks up several headers.
    """
    found: dict[bytes, bytes] | None = scope.get(_FIRST)
    if found is None:
        found = scope[_FIRST] = dict(reversed(scope["headers"]))
    return found


def forget_first_headers(scope: Scope) -> None:
    """Release what `first_headers` has computed, for a request that takes long. It can be computed again."""
    scope.pop(_FIRST, None)


def header(request: HTTPConnection, name: bytes) -> str | None:
    """Return the first header of this name, in lower case; None if there is none."""
    value = first_headers(request.scope).get(name)
    return None if value is None else value.decode("latin-1")

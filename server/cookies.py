"""Reading cookies as they were set."""

from starlette.requests import HTTPConnection


def cookie_of(request: HTTPConnection, cookie: str) -> str | None:
    """Return the cookie's value, without undoing quotes or escapes: ours have none.

    Starlette would undo them, which takes Python 3.11 minutes for a header of a million backslashes.
    """
    for header in request.headers.getlist("cookie"):
        for pair in header.split(";"):
            name, _, value = pair.partition("=")
            if name.strip() == cookie:
                return value.strip()
    return None

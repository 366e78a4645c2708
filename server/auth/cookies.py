"""Reading cookies as they were set."""

from collections.abc import Generator

from starlette.requests import HTTPConnection

# https://www.rfc-editor.org/rfc/rfc6265#section-5.2: the white space around names and values is just this.
_WHITE_SPACE = b" \t"


def cookie_of(request: HTTPConnection, cookie: str) -> str | None:
    """Return the cookie's value, or None if the request has no such cookie, or several.

    A browser keeps several of one name only if they were set for different paths or domains, so one of two
    is not ours. Names are compared as bytes: the header's text is Latin-1, in which other bytes count as
    white space, and a browser does not protect a name with such a byte before its `__Host-`.
    """
    values = [value for name, value in cookies_of(request) if name == cookie]
    return values[0] if len(values) == 1 else None


def cookies_of(request: HTTPConnection) -> Generator[tuple[str, str]]:
    """Yield the names and values of all cookies, without undoing quotes or escapes: ours have none.

    Starlette would undo them, which takes Python 3.11 minutes for a header of a million backslashes.
    """
    for header, line in request.scope["headers"]:
        if header == b"cookie":
            for pair in line.split(b";"):
                name, _, value = pair.partition(b"=")
                yield name.strip(_WHITE_SPACE).decode("latin-1"), value.strip(_WHITE_SPACE).decode("latin-1")

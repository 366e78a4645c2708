"""Reading cookies exactly as they were set."""

from collections.abc import Generator

from starlette.requests import HTTPConnection

from server.http.refusals import HttpRefusal

# The only white space around names and values: https://www.rfc-editor.org/rfc/rfc6265#section-5.2
_WHITE_SPACE = b" \t"

# Browsers keep fewer for a site.
_MAX_COOKIES = 200


def cookie_of(request: HTTPConnection, cookie: str) -> str | None:
    """Return the cookie's value, or None if the request has no such cookie or several of that name.

    A browser keeps several cookies of one name only if they were set for different paths or domains, so at
    least one of them was not set by this server. White space is stripped from bytes, not from text: in
    Latin-1, other bytes count as white space, and browsers do not protect a name that has such a byte
    before its `__Host-` prefix.

    Raises:
        HttpRefusal: 431, the request has more than 200 cookies.
    """
    values = [value for name, value in cookies_of(request) if name == cookie]
    return values[0] if len(values) == 1 else None


def cookies_of(request: HTTPConnection) -> Generator[tuple[str, str]]:
    """Yield the names and values of all cookies, without unquoting them: this server's need no quotes.

    Starlette unquotes them, which takes Python 3.11 minutes for a header of a million backslashes.

    Raises:
        HttpRefusal: 431, the request has more than 200 cookies.
    """
    lines = [line for header, line in request.scope["headers"] if header == b"cookie"]
    if sum(1 + line.count(b";") for line in lines) > _MAX_COOKIES:
        raise HttpRefusal(
            431, "BAD_USER_INPUT", f"The request has more than {_MAX_COOKIES} cookies. Delete some of them."
        )
    for line in lines:
        for pair in line.split(b";"):
            name, _, value = pair.partition(b"=")
            yield name.strip(_WHITE_SPACE).decode("latin-1"), value.strip(_WHITE_SPACE).decode("latin-1")

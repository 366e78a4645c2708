"""Refusals at the level of HTTP, before or beside any GraphQL."""

from collections.abc import Mapping

from resolvers.errors import RateLimited


class HttpRefusal(Exception):
    """A request that is turned down with a status, a code for programs and a message for people.

    `request_id` is there where the log has more under it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.request_id = request_id


class TooManyFromAddress(HttpRefusal):
    """Too much comes from one address, which may be a proxy's."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(429, "RATE_LIMITED", message, {"retry-after": str(retry_after_seconds)})


def unauthenticated(message: str) -> HttpRefusal:
    """Return the refusal of what only somebody signed in may do."""
    return HttpRefusal(401, "UNAUTHENTICATED", message, {"www-authenticate": "Bearer"})


def rate_limited(refused: RateLimited) -> HttpRefusal:
    """Return the refusal of a request whose user or address has used up a limit."""
    return HttpRefusal(429, refused.code, str(refused), {"retry-after": str(refused.retry_after_seconds)})


def database_unavailable() -> HttpRefusal:
    """Return the refusal of what cannot be answered while the database does not answer."""
    return HttpRefusal(
        503, "UNAVAILABLE", "The database does not answer: try again in a moment.", {"retry-after": "1"}
    )


def cannot_answer_now() -> HttpRefusal:
    """Return the refusal of a stream while the server stops, or its database does not answer."""
    return HttpRefusal(
        503,
        "UNAVAILABLE",
        "The server cannot answer for the moment: connect again.",
        {"retry-after": "1"},
    )

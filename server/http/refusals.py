"""Requests that are rejected with an HTTP status, before GraphQL or outside of it."""

from collections.abc import Mapping

from resolvers.errors import RateLimited


class HttpRefusal(Exception):
    """A request is rejected with a status, a code for programs and a message for developers.

    `request_id` is given if the log has details.
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
    """An address has reached a limit; it may be the address of an unknown proxy."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(429, "RATE_LIMITED", message, {"retry-after": str(retry_after_seconds)})


def unauthenticated(message: str) -> HttpRefusal:
    """Return the refusal of a request that requires a signed-in user."""
    return HttpRefusal(401, "UNAUTHENTICATED", message, {"www-authenticate": "Bearer"})


def rate_limited(refused: RateLimited) -> HttpRefusal:
    """Return the refusal of a request whose user or address has used up a limit."""
    return HttpRefusal(429, refused.code, str(refused), {"retry-after": str(refused.retry_after_seconds)})


def database_unavailable() -> HttpRefusal:
    """Return the refusal of a request that needs the database while it does not respond."""
    return HttpRefusal(
        503, "UNAVAILABLE", "The database does not respond. Try again in a moment.", {"retry-after": "1"}
    )


def cannot_answer_now() -> HttpRefusal:
    """Return the refusal of a stream while the server stops, or its database does not respond."""
    return HttpRefusal(
        503,
        "UNAVAILABLE",
        "The server cannot serve streams at the moment. Connect again.",
        {"retry-after": "1"},
    )

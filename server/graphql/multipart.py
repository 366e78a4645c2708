"""Subscriptions as Apollo's clients read them without another link: parts of a multipart response.

https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol
"""

from collections.abc import Mapping

from execution.answers import Answer, encode_json

_BOUNDARY = b"graphql"


def is_accepted(accept: str | None) -> bool:
    """Say whether the header asks for this protocol; for `@defer`, it names another one."""
    ranges = [part.strip().lower() for part in (accept or "").split(",")]
    return any(each.startswith("multipart/mixed") and "subscriptionspec=" in each for each in ranges)


def _part(value: object) -> bytes:
    """Return a part and the boundary after it: a client need not wait for the next part to read this one."""
    return b"\r\nContent-Type: application/json\r\n\r\n" + encode_json(value) + b"\r\n--" + _BOUNDARY


class Multipart:
    """The format: each event a JSON part with a `payload`."""

    headers: Mapping[str, str] = {
        "content-type": "multipart/mixed;boundary=graphql;subscriptionSpec=1.0",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
    }
    heartbeat = _part({})
    complete = b"--\r\n"

    def begin(self, cursor: str) -> bytes:
        """Return the first boundary and a sign of life; the cursor is in the events alone."""
        return b"--" + _BOUNDARY + self.heartbeat

    def next(self, answer: Answer, cursor: str | None = None) -> bytes:
        """Return a part with an answer."""
        return _part({"payload": answer})

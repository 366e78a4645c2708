"""Subscriptions as multipart responses, which Apollo's clients read without an additional link.

https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol
"""

from collections.abc import Mapping

from execution.answers import Answer, encode_json

_BOUNDARY = b"graphql"


def is_accepted(accept: str | None) -> bool:
    """Return whether the header names this protocol, and not the one for `@defer`."""
    ranges = [part.strip().lower() for part in (accept or "").split(",")]
    return any(each.startswith("multipart/mixed") and "subscriptionspec=" in each for each in ranges)


def _part(value: object) -> bytes:
    """Return a part with the boundary that ends it, so that clients can read it immediately."""
    return b"\r\nContent-Type: application/json\r\n\r\n" + encode_json(value) + b"\r\n--" + _BOUNDARY


class Multipart:
    """The format of a stream: each event is a JSON part with a `payload`."""

    headers: Mapping[str, str] = {
        "content-type": "multipart/mixed;boundary=graphql;subscriptionSpec=1.0",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
    }
    heartbeat = _part({})
    complete = b"--\r\n"

    def begin(self, cursor: str) -> bytes:
        """Return the first boundary and a heartbeat; this protocol has no place for the cursor."""
        return b"--" + _BOUNDARY + self.heartbeat

    def next(self, answer: Answer, cursor: str | None = None) -> bytes:
        return _part({"payload": answer})

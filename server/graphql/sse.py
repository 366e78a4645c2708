"""Server-Sent Events as graphql-sse writes them.

https://html.spec.whatwg.org/multipage/server-sent-events.html and
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

from collections.abc import Mapping

from execution.answers import Answer, encode_json

MEDIA_TYPE = "text/event-stream"

# What a client that returns after `complete` hands back as its last event id. An EventSource connects again
# whenever its response ends, and stops for good when it is answered 204.
OVER = "complete"


def event(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """Return one event; lines end in LF alone, which urql's reader relies on."""
    place = b"" if event_id is None else f"id: {event_id}\n".encode()
    return b"event: " + name.encode() + b"\n" + place + b"data: " + data + b"\n\n"


class Sse:
    """The format of distinct connections mode: one operation a stream, each event's cursor as its id."""

    headers: Mapping[str, str] = {
        "content-type": f"{MEDIA_TYPE}; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        # Has nginx pass events on as they come.
        "x-accel-buffering": "no",
    }
    heartbeat = b":\n\n"
    # Browsers dispatch no event without a line of data.
    complete = event("complete", b"", OVER)

    def begin(self, cursor: str) -> bytes:
        """Return an id without an event: a browser that loses the stream now resumes from there."""
        return f"id: {cursor}\n\n".encode()

    def next(self, answer: Answer, cursor: str | None = None) -> bytes:
        """Return a `next` event."""
        return event("next", encode_json(answer), cursor)


def operation_next(operation_id: str, answer: Answer) -> bytes:
    """Return a `next` event of single connection mode, which names its operation."""
    return event("next", encode_json({"id": operation_id, "payload": answer}))


def operation_complete(operation_id: str) -> bytes:
    """Return a `complete` event of single connection mode."""
    return event("complete", encode_json({"id": operation_id}))

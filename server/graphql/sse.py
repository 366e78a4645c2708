"""Server-Sent Events in the format of graphql-sse.

https://html.spec.whatwg.org/multipage/server-sent-events.html and
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

from collections.abc import Mapping

from execution.answers import Answer, encode_json

MEDIA_TYPE = "text/event-stream"

# The event ID of `complete`, which an EventSource sends back as its last one. It reconnects whenever its
# response ends, and stops when it receives 204.
OVER = "complete"


def event(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """Return one event; its lines end in LF without CR, which urql's parser relies on."""
    place = b"" if event_id is None else f"id: {event_id}\n".encode()
    return b"event: " + name.encode() + b"\n" + place + b"data: " + data + b"\n\n"


class Sse:
    """The format of distinct connections mode: one operation per stream, with cursors as event IDs."""

    headers: Mapping[str, str] = {
        "content-type": f"{MEDIA_TYPE}; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        # Keeps nginx from buffering events.
        "x-accel-buffering": "no",
    }
    heartbeat = b":\n\n"
    # Browsers do not dispatch an event without a `data` line.
    complete = event("complete", b"", OVER)

    def begin(self, cursor: str) -> bytes:
        """Return an ID without an event, from which a browser resumes if it loses the stream now."""
        return f"id: {cursor}\n\n".encode()

    def next(self, answer: Answer, cursor: str | None = None) -> bytes:
        return event("next", encode_json(answer), cursor)


def operation_next(operation_id: str, payload: bytes) -> bytes:
    """Return a `next` event of single connection mode; the payload is an answer in JSON."""
    return event("next", b'{"id":%b,"payload":%b}' % (encode_json(operation_id), payload))


def operation_complete(operation_id: str) -> bytes:
    """Return a `complete` event of single connection mode."""
    return event("complete", encode_json({"id": operation_id}))

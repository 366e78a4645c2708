"""What clients need to know about the server."""

from dataclasses import dataclass
from functools import cache
from importlib import metadata

from resolvers.content import MAX_CONTENT_CHARS
from resolvers.context import Context


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """The limits that clients show or check in advance."""

    message_characters: int
    edit_seconds: int
    read_marks_max_participants: int


@cache
def version() -> str:
    """Return the version of the server."""
    return metadata.version("messenger")


def limits(context: Context) -> ServerLimits:
    """Return the limits that apply to the request."""
    rules = context.rules
    return ServerLimits(MAX_CONTENT_CHARS, rules.edit_seconds, rules.read_marks_max_participants)

"""What a message may say, and how it is tidied before it is stored."""

import re

from resolvers.errors import UserError, UserErrorCode

MAX_CONTENT_CHARS = 480

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def normalise(content: str) -> str:
    """Return the lines without empty ones, each trimmed and its runs of white space made one space.

    White space is Python's `str.isspace` together with Unicode's White_Space, which agree but for the four
    information separators that only Python counts.
    """
    lines = (" ".join(line.split()) for line in content.splitlines())
    return "\n".join(line for line in lines if line)


def check_content(content: str) -> str:
    """Return the content as it is stored: normalised, 1 to 480 code points.

    Raises:
        UserError: blank, too long, or with characters that cannot be stored (NUL, lone surrogates).
    """
    if not is_storable(content):
        raise UserError(
            UserErrorCode.INVALID,
            "The message holds characters that cannot be stored: NUL or half of a surrogate pair.",
            "content",
        )
    normalised = normalise(content)
    if not normalised:
        raise UserError(UserErrorCode.BLANK, "Write something: the message is empty.", "content")
    if len(normalised) > MAX_CONTENT_CHARS:
        raise UserError(
            UserErrorCode.TOO_LONG,
            f"The message has {len(normalised)} characters: shorten it to {MAX_CONTENT_CHARS}.",
            "content",
        )
    return normalised


def is_storable(text: str) -> bool:
    """Say whether PostgreSQL can store the text: no NUL, no lone surrogate."""
    return not _UNSTORABLE.search(text)

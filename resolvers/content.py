"""Validation and normalisation of message text."""

import re

from resolvers.errors import UserError, UserErrorCode

MAX_CONTENT_CHARS = 480

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

# Unicode's Default_Ignorable_Code_Point property, which Python's unicodedata lacks. Its ranges include code
# points reserved for future assignment, so new versions of Unicode seldom change them.
_DEFAULT_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_CONTROLS = "\0-\x1f\x7f-\x9f"
_BLANK_BRAILLE = "\u2800"
_VISIBLE = re.compile(rf"[^\s{_CONTROLS}{_DEFAULT_IGNORABLE}{_BLANK_BRAILLE}]")


def normalise(content: str) -> str:
    """Drop empty lines, trim the others and collapse each run of whitespace to one space.

    Whitespace is what `str.isspace` accepts: Unicode's White_Space and four information separators.
    """
    lines = (" ".join(line.split()) for line in content.splitlines())
    return "\n".join(line for line in lines if line)


def check_content(content: str) -> str:
    """Return the text to store: normalised, 1 to 480 code points.

    Raises:
        UserError: the text has no visible characters, is too long, or has characters that PostgreSQL cannot
            store (NUL, lone surrogates).
    """
    if not is_storable(content):
        raise UserError(
            UserErrorCode.INVALID,
            "The message contains characters that cannot be stored (NUL or a lone surrogate). Remove them.",
            "content",
        )
    normalised = normalise(content)
    if not has_visible_text(normalised):
        raise UserError(UserErrorCode.BLANK, "The message has no visible text. Enter a message.", "content")
    if len(normalised) > MAX_CONTENT_CHARS:
        raise UserError(
            UserErrorCode.TOO_LONG,
            f"The message has {len(normalised)} characters. Shorten it to {MAX_CONTENT_CHARS}.",
            "content",
        )
    return normalised


def has_visible_text(text: str) -> bool:
    """Return whether the text has a visible character.

    Whitespace, control characters, default-ignorable code points (zero-width spaces and joiners,
    bidirectional controls, variation selectors, fillers) and the blank Braille pattern are not visible.
    """
    return _VISIBLE.search(text) is not None


def is_storable(text: str) -> bool:
    """Return whether PostgreSQL can store the text: it has no NUL and no lone surrogates."""
    return not _UNSTORABLE.search(text)

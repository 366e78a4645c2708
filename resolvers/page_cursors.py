"""Cursors of pages: opaque to clients, and never misread by the server."""

import re
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64

from resolvers.errors import CursorInvalid

_MAX_PAGE_KEY = 2**63 - 1


def encode_page_cursor(key: int) -> str:
    """Return the cursor of an edge whose place in its list is `key`."""
    # The Base64 of digits has none of the characters that differ in URLs.
    return b2a_base64(b"%d" % key, newline=False).decode()


def decode_page_cursor(cursor: str, argument: str) -> int:
    """Return the key that `encode_page_cursor` was given.

    Raises:
        CursorInvalid: the text is not a cursor; the message names the argument.
    """
    try:
        key = urlsafe_b64decode(cursor.encode("ascii")).decode("ascii")
    except (UnicodeError, Base64Error) as error:
        raise _invalid(argument) from error
    if not re.fullmatch(r"[1-9][0-9]{0,18}", key) or int(key) > _MAX_PAGE_KEY:
        raise _invalid(argument)
    if encode_page_cursor(int(key)) != cursor:
        raise _invalid(argument)
    return int(key)


def _invalid(argument: str) -> CursorInvalid:
    return CursorInvalid(argument, of="these pages", sources="`pageInfo` or an edge")

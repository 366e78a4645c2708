"""Cursors: opaque to clients, and never misread by us."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

from resolvers.errors import CursorInvalid

_EPOCH_BYTES = 16
_POSITION_BYTES = 8
_CHECK_BYTES = 9
_LENGTH = _EPOCH_BYTES + _POSITION_BYTES + _CHECK_BYTES
_MAX_PAGE_KEY = 2**63 - 1


@dataclass(frozen=True, slots=True)
class InboxCursor:
    """A place in a user's inbox: after the entry at `position`, in one life of the database."""

    epoch: UUID
    position: int

    def encode(self, user_id: UUID) -> str:
        """Return 44 characters that only this user can hand back."""
        place = self.epoch.bytes + self.position.to_bytes(_POSITION_BYTES, "big")
        return urlsafe_b64encode(place + _check(place, user_id)).decode()

    @classmethod
    def decode(cls, cursor: str, user_id: UUID) -> "InboxCursor":
        """Read a cursor of this user's.

        Raises:
            CursorInvalid: it is no cursor, was changed on its way, or is another user's.
        """
        try:
            raw = urlsafe_b64decode(cursor.encode("ascii"))
        except (UnicodeEncodeError, Base64Error) as error:
            raise _invalid("after") from error
        place, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        # Decoding forgives stray characters: only the very text that was handed out is a cursor.
        if (
            len(raw) != _LENGTH
            or check != _check(place, user_id)
            or urlsafe_b64encode(raw).decode() != cursor
        ):
            raise _invalid("after")
        return cls(UUID(bytes=place[:_EPOCH_BYTES]), int.from_bytes(place[_EPOCH_BYTES:], "big"))


def _check(place: bytes, user_id: UUID) -> bytes:
    return blake2b(place + user_id.bytes, digest_size=_CHECK_BYTES, person=b"inbox cursor").digest()


def encode_page_cursor(key: int) -> str:
    """Return the cursor of an edge whose place in its list is `key`."""
    return urlsafe_b64encode(b"%d" % key).decode()


def decode_page_cursor(cursor: str, argument: str) -> int:
    """Read an edge's cursor.

    Raises:
        CursorInvalid: it is not one; the message names the argument.
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
    return CursorInvalid(f"`{argument}` is not a cursor of yours: hand back one exactly as you received it.")

"""Inbox cursors: opaque to clients, and protected against mistakes by a checksum."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

_EPOCH_BYTES = 16
_POSITION_BYTES = 8
_TAG_BYTES = 3
_CHECK_BYTES = 9
# That of a bigint.
_MAX_POSITION = 2**63 - 1
_UNTAGGED = _EPOCH_BYTES + _POSITION_BYTES
_TAGGED = _UNTAGGED + _TAG_BYTES


class MalformedCursor(Exception):
    """The text is not a cursor that was issued to this user."""


class ExpiredCursor(Exception):
    """The inbox cannot be followed from this cursor: entries have been deleted, or the epoch is different."""


@dataclass(frozen=True, slots=True)
class InboxCursor:
    """A place in a user's inbox, after the entry at `position`, in one epoch of the database.

    `tag` is that entry's, and None if it is unknown.
    """

    epoch: UUID
    position: int
    tag: int | None = None

    def encode(self, user_id: UUID) -> str:
        """Return 44 characters, or 48 with a tag, which are valid for this user only."""
        place = self.epoch.bytes + self.position.to_bytes(_POSITION_BYTES, "big")
        if self.tag is not None:
            place += self.tag.to_bytes(_TAG_BYTES, "big")
        return urlsafe_b64encode(place + _check(place, user_id)).decode()

    @classmethod
    def decode(cls, cursor: str, user_id: UUID) -> "InboxCursor":
        """Read a cursor that `encode` returned for this user.

        Raises:
            MalformedCursor: the text is not a cursor, has been changed, or belongs to another user.
        """
        try:
            raw = urlsafe_b64decode(cursor.encode("ascii"))
        except (UnicodeEncodeError, Base64Error) as error:
            raise MalformedCursor from error
        place, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        # Decoding ignores stray characters, so the text is compared with what `encode` returns.
        if (
            len(place) not in (_UNTAGGED, _TAGGED)
            or check != _check(place, user_id)
            or urlsafe_b64encode(raw).decode() != cursor
        ):
            raise MalformedCursor
        position, tag = int.from_bytes(place[_EPOCH_BYTES:_UNTAGGED], "big"), place[_UNTAGGED:]
        if position > _MAX_POSITION:
            raise MalformedCursor
        return cls(UUID(bytes=place[:_EPOCH_BYTES]), position, int.from_bytes(tag, "big") if tag else None)


def _check(place: bytes, user_id: UUID) -> bytes:
    return blake2b(place + user_id.bytes, digest_size=_CHECK_BYTES, person=b"inbox cursor").digest()

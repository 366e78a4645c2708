"""Relay's global object identification: https://relay.dev/graphql/objectidentification.htm."""

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64
from enum import Enum
from uuid import UUID

import strawberry

_KEY_CHARS = 22
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


@strawberry.interface(description="Something that can be fetched again by its id.")
class Node:
    """What every object of the API with an id has in common."""

    id: strawberry.ID = strawberry.field(
        description="Globally unique and opaque: store it, compare it, hand it back, but do not read it."
    )


class NodeType(Enum):
    """The letter that an id starts with: the type of what it stands for."""

    USER = "U"
    CONVERSATION = "C"
    MESSAGE = "M"
    SESSION = "S"

    def encode(self, key: UUID) -> strawberry.ID:
        """Return the id of the node with that primary key: 23 characters that need no escape in a URL."""
        encoded = b2a_base64(key.bytes, newline=False)[:_KEY_CHARS].translate(_URL_SAFE)
        return strawberry.ID(self._value_ + encoded.decode())

    def decode(self, node_id: str) -> UUID | None:
        """Return the primary key; None for what is no id of this type."""
        key = _key(node_id[1:])
        return key if key is not None and self.encode(key) == node_id else None


def _key(text: str) -> UUID | None:
    try:
        return UUID(bytes=urlsafe_b64decode(text + "=="))
    except (Base64Error, UnicodeError, ValueError):
        return None

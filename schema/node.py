"""Relay's global object identification: https://relay.dev/graphql/objectidentification.htm."""

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64
from enum import Enum
from uuid import UUID

import strawberry

_KEY_CHARS = 22
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


@strawberry.interface(description="An object with an ID, which `node` and `nodes` return by that ID.")
class Node:
    id: strawberry.ID = strawberry.field(
        description="Globally unique, opaque ID. Store it, compare it and pass it back, but do not parse it."
    )


class NodeType(Enum):
    """The types of nodes; the value is the letter that their IDs start with."""

    USER = "U"
    CONVERSATION = "C"
    MESSAGE = "M"
    SESSION = "S"

    def encode(self, key: UUID) -> strawberry.ID:
        """Return the ID of the node with this primary key: 23 URL-safe characters."""
        encoded = b2a_base64(key.bytes, newline=False)[:_KEY_CHARS].translate(_URL_SAFE)
        return strawberry.ID(self._value_ + encoded.decode())

    def decode(self, node_id: str) -> UUID | None:
        """Return the primary key; None if the text is not an ID of this type."""
        key = _key(node_id[1:])
        return key if key is not None and self.encode(key) == node_id else None


def _key(text: str) -> UUID | None:
    try:
        return UUID(bytes=urlsafe_b64decode(text + "=="))
    except (Base64Error, UnicodeError, ValueError):
        return None

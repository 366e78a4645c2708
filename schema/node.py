"""Relay's global object identification: https://relay.dev/graphql/objectidentification.htm."""

from binascii import a2b_base64, b2a_base64
from enum import Enum
from uuid import UUID

import strawberry

from db.ids import id_of

_KEY_CHARS = 22
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")


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
        if len(node_id) != 1 + _KEY_CHARS:
            return None
        try:
            key = id_of(a2b_base64(node_id[1:].encode("ascii").translate(_STANDARD) + b"=="))
        except ValueError:  # also of characters that are not ASCII, and of padding
            return None
        return key if self.encode(key) == node_id else None

"""Relay's global object identification: https://relay.dev/graphql/objectidentification.htm."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from enum import Enum
from uuid import UUID

import strawberry


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
        return strawberry.ID(self.value + urlsafe_b64encode(key.bytes).decode().rstrip("="))

    def decode(self, node_id: str) -> UUID | None:
        """Return the primary key; None for what is no id of this type."""
        key = _key(node_id[1:])
        return key if key is not None and self.encode(key) == node_id else None


def _key(text: str) -> UUID | None:
    try:
        return UUID(bytes=urlsafe_b64decode(text + "=="))
    except (Base64Error, UnicodeError, ValueError):
        return None

"""The one place where ids are made."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562): later ids sort after earlier ones, so indexes grow at their end."""
    return uuid7()

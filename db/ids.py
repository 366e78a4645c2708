"""Generating IDs."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a UUIDv7 (RFC 9562). Later IDs sort after earlier ones, so indexes grow at their end."""
    return uuid7()

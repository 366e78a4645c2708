"""Telling violated constraints apart."""

from sqlalchemy.exc import IntegrityError


def violates(error: IntegrityError, constraint: str) -> bool:
    """Say whether the statement failed on the constraint of that name."""
    cause: object = error.orig
    while cause is not None:
        # SQLAlchemy wraps asyncpg's error, which is the one that knows the name.
        if getattr(cause, "constraint_name", None) == constraint:
            return True
        cause = getattr(cause, "__cause__", None)
    return False

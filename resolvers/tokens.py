"""Tokens that cannot be guessed, and what is kept of them."""

import secrets
from hashlib import sha256


def new_token() -> str:
    """Return 256 random bits in characters that need no escape anywhere."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """Return what the database keeps: from it no token can be made."""
    # The tokens are random and long: a slow hash or a salt would add nothing.
    return sha256(token.encode()).hexdigest()

"""Random tokens, and the hashes that are stored in their place."""

import secrets
from hashlib import sha256


def new_token() -> str:
    """Return 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """Return the SHA-256 of a token, in hexadecimal, for the database to store."""
    # Tokens are long and random, so a slow hash or a salt would add nothing.
    return sha256(token.encode()).hexdigest()

"""Profiles from OpenID's standard claims.

https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims
"""

from collections.abc import Mapping
from typing import Any

from resolvers.identities import Profile

_NAMES = ("preferred_username", "nickname", "name", "given_name")


def profile_of(claims: Mapping[str, Any]) -> Profile:
    """Return the user's names, in order of preference, and their picture."""
    picture = claims.get("picture")
    return Profile(
        tuple(name for key in _NAMES if isinstance(name := claims.get(key), str) and name),
        picture if isinstance(picture, str) else None,
    )

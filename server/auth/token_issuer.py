"""Accounts of an existing product: its JWTs are accepted as bearer tokens.

https://www.rfc-editor.org/rfc/rfc7519#section-4.1 and https://www.rfc-editor.org/rfc/rfc8725
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from joserfc.errors import JoseError
from joserfc.jwt import JWTClaimsRegistry

from db.engine import Database
from db.records import User
from resolvers.identities import SubjectRefused, user_for
from server.auth.json_web_keys import JsonWebKeys, TokenNotTrusted
from server.auth.outbound import get_json
from server.auth.profiles import profile_of

_LEEWAY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The user of a verified token, and when the token expires."""

    user: User
    expires_at: datetime


class TokenIssuer:
    """An issuer whose tokens this server accepts."""

    def __init__(self, issuer: str, audience: str, jwks_url: str) -> None:
        """Accept the issuer's tokens for the audience, signed with a key from the URL."""
        self._issuer = issuer
        self._keys = JsonWebKeys(lambda: get_json(jwks_url))
        self._audience = audience

    async def aclose(self) -> None:
        await self._keys.aclose()

    async def user_of(self, database: Database, token: str) -> VerifiedToken:
        """Return the user for the token's subject, created when it is first seen.

        Raises:
            TokenNotTrusted: the signature, issuer, audience or lifetime is wrong.
            ServiceUnavailable: the issuer's keys are not available.
        """
        _, claims = await self._keys.claims_of(token)
        try:
            JWTClaimsRegistry(
                leeway=_LEEWAY_SECONDS,
                iss={"essential": True, "value": self._issuer},
                aud={"essential": True, "value": self._audience},
                sub={"essential": True},
                exp={"essential": True},
            ).validate(claims)
        except JoseError as error:
            raise TokenNotTrusted(f"{type(error).__name__}: {error}") from error
        try:
            user = await user_for(database, self._issuer, str(claims["sub"]), profile_of(claims))
        except SubjectRefused as error:
            raise TokenNotTrusted(str(error)) from error
        # Python's datetime cannot represent every `exp`.
        latest = datetime.now(UTC) + timedelta(days=3650)
        return VerifiedToken(user, datetime.fromtimestamp(min(claims["exp"], latest.timestamp()), UTC))


def looks_like_jwt(token: str) -> bool:
    """Return whether the token has three parts like a JWT, which this server's own tokens never have."""
    return token.count(".") == 2

"""The accounts of an existing product: a JWT of its issuer signs the token's subject in.

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
class Vouched:
    """A user whom the issuer vouches for, and until when."""

    user: User
    expires_at: datetime


class TokenIssuer:
    """Somebody whose tokens are good here."""

    def __init__(self, issuer: str, audience: str, jwks_url: str) -> None:
        """Take tokens that the issuer has made for the audience; its keys are at the URL."""
        self._issuer = issuer
        self._keys = JsonWebKeys(lambda: get_json(jwks_url))
        self._audience = audience

    async def aclose(self) -> None:
        """Give up what is being fetched."""
        await self._keys.aclose()

    async def user_of(self, database: Database, token: str) -> Vouched:
        """Return the token's subject as a user of ours, made on first sight.

        Raises:
            TokenNotTrusted: it is not the issuer's, not for us, or not for now.
            Unavailable: the issuer's keys cannot be had.
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
        # A date beyond what Python knows must not fail.
        latest = datetime.now(UTC) + timedelta(days=3650)
        return Vouched(user, datetime.fromtimestamp(min(claims["exp"], latest.timestamp()), UTC))


def looks_like_jwt(token: str) -> bool:
    """Say whether the token has a JWT's three parts, which none of our own tokens has."""
    return token.count(".") == 2

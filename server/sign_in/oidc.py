"""Sign-in with an OpenID provider.

https://openid.net/specs/openid-connect-core-1_0.html and openid-connect-discovery-1_0.html
"""

# Authlib has no types; this module adds them to its results.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import time
from collections.abc import Mapping
from typing import Any, cast

import structlog
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from server.auth.json_web_keys import JsonWebKeys, TokenNotTrusted
from server.auth.outbound import ServiceUnavailable, get_json
from server.auth.profiles import profile_of
from server.sign_in.oauth import CodeGrant
from server.sign_in.provider import Identified, Secrets

log = structlog.stdlib.get_logger(__name__)

_LEEWAY_SECONDS = 60
_METADATA_SECONDS = 3600
_RETRY_SECONDS = 3


class OpenIdProvider:
    """An OpenID provider, whose endpoints are discovered from its issuer."""

    id = "oidc"

    def __init__(
        self, issuer: str, name: str, client_id: str, client_secret: str | None, redirect_uri: str
    ) -> None:
        """Send no requests to the provider before the first sign-in."""
        self.name = name
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._metadata: dict[str, Any] = {}
        self._discovered = self._failed = float("-inf")
        self._discovering = asyncio.Lock()
        self._keys = JsonWebKeys(self._fetch_keys)

    async def aclose(self) -> None:
        await self._keys.aclose()

    async def authorization_url(self, of: Secrets) -> str:
        metadata = await self._discover()
        return self._grant(metadata).authorization_url(
            _endpoint(metadata, "authorization_endpoint"),
            state=of.state,
            code_verifier=of.code_verifier,
            nonce=of.nonce,
        )

    async def check_issuer(self, issuer: str | None) -> None:
        """Accept this provider's issuer, or none if its metadata does not announce the parameter `iss`.

        Authlib's client does not check it: https://www.rfc-editor.org/rfc/rfc9207#section-2.4.
        """
        metadata = await self._discover()
        if issuer is None and not metadata.get("authorization_response_iss_parameter_supported"):
            return
        if issuer != self._issuer:
            raise TokenNotTrusted(f"the response is from {issuer!r}, not from {self._issuer!r}")

    async def identify(self, of: Secrets, code: str) -> Identified:
        """Return the subject of the ID token, with the profile in it or from the userinfo endpoint."""
        metadata = await self._discover()
        tokens = await self._grant(metadata).exchange(
            _endpoint(metadata, "token_endpoint"), code, of.code_verifier
        )
        claims = await self._claims_of_id_token(metadata, tokens, of.nonce)
        subject = str(claims["sub"])
        if not profile_of(claims).names and "userinfo_endpoint" in metadata:
            bearer = {"authorization": f"Bearer {tokens['access_token']}"}
            user_info = await get_json(_endpoint(metadata, "userinfo_endpoint"), bearer)
            # Required by https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse
            if user_info.get("sub") != subject:
                raise TokenNotTrusted("the userinfo endpoint returned another subject")
            claims = user_info
        return Identified(self._issuer, subject, profile_of(claims))

    async def _claims_of_id_token(
        self, metadata: Mapping[str, Any], tokens: Mapping[str, Any], nonce: str
    ) -> Mapping[str, Any]:
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise TokenNotTrusted("the response does not contain an ID token")
        named = metadata.get("id_token_signing_alg_values_supported")
        algorithms = cast("list[str]", named) if isinstance(named, list) else ["RS256"]
        header, claims = await self._keys.claims_of(id_token, algorithms)
        options = {
            "iss": {"essential": True, "value": self._issuer},
            "sub": {"essential": True},
            "aud": {"essential": True, "value": self._client_id},
        }
        expected = {
            "nonce": nonce,
            "client_id": self._client_id,
            "access_token": tokens["access_token"],
        }
        try:
            CodeIDToken(claims, header, options, expected).validate(leeway=_LEEWAY_SECONDS)
        except JoseError as error:
            raise TokenNotTrusted(f"{type(error).__name__}: {error}") from error
        return claims

    async def _discover(self) -> dict[str, Any]:
        """Return the provider's metadata, which is fetched at most once an hour.

        Concurrent sign-ins share one request, and there is a pause after a failed one. Cached metadata stays
        valid while the provider does not respond.
        """
        async with self._discovering:
            now = time.monotonic()
            if now - self._discovered <= _METADATA_SECONDS:
                return self._metadata
            if now - self._failed > _RETRY_SECONDS:
                try:
                    self._metadata = await self._fetch_metadata()
                except ServiceUnavailable as error:
                    self._failed = time.monotonic()
                    log.warning("provider not discovered", issuer=self._issuer, error=str(error))
                else:
                    self._discovered = time.monotonic()
            if not self._metadata:
                raise ServiceUnavailable(f"{self._issuer} cannot be discovered")
            return self._metadata

    async def _fetch_metadata(self) -> dict[str, Any]:
        found = await get_json(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self._issuer:
            raise ServiceUnavailable(
                f"the metadata of {self._issuer} names the issuer {found.get('issuer')!r}"
            )
        return found

    async def _fetch_keys(self) -> dict[str, Any]:
        return await get_json(_endpoint(await self._discover(), "jwks_uri"))

    def _grant(self, metadata: Mapping[str, Any]) -> CodeGrant:
        return CodeGrant(
            self._client_id,
            self._client_secret,
            self._redirect_uri,
            "openid profile",
            self._authentication(metadata),
        )

    def _authentication(self, metadata: Mapping[str, Any]) -> str:
        if self._client_secret is None:
            return "none"
        named = metadata.get("token_endpoint_auth_methods_supported")
        takes_basic = not isinstance(named, list) or "client_secret_basic" in named
        return "client_secret_basic" if takes_basic else "client_secret_post"


def _endpoint(metadata: Mapping[str, Any], name: str) -> str:
    url = metadata.get(name)
    if not isinstance(url, str):
        raise ServiceUnavailable(f"the provider's metadata does not contain {name}")
    return url

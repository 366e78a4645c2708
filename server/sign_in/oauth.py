"""The authorization code grant with PKCE, through Authlib.

https://www.rfc-editor.org/rfc/rfc6749#section-4.1 and https://www.rfc-editor.org/rfc/rfc7636
"""

# Authlib has no types; this module adds them to its results.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from dataclasses import dataclass
from typing import Any, cast

from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from server.auth.outbound import TLS, ServiceUnavailable, unavailable_on_failure


class CodeRefused(Exception):
    """The provider rejected the code, which was already used, has expired, or belongs to another client."""


@dataclass(frozen=True, slots=True)
class CodeGrant:
    """This server as a client of the provider."""

    client_id: str
    client_secret: str | None
    redirect_uri: str
    scope: str | None
    authentication: str

    def authorization_url(
        self, endpoint: str, *, state: str, code_verifier: str, nonce: str | None = None
    ) -> str:
        """Return the URL to redirect the browser to."""
        more = {} if nonce is None else {"nonce": nonce}
        url, _ = self._client().create_authorization_url(
            endpoint, state=state, code_verifier=code_verifier, **more
        )
        return url

    async def exchange(self, endpoint: str, code: str, code_verifier: str) -> dict[str, Any]:
        """Exchange the code for tokens, among them an `access_token`.

        Raises:
            CodeRefused: the provider rejects the code.
            ServiceUnavailable: the provider does not respond, or its response is not usable.
        """
        try:
            # Authlib's client is an httpx2 client, which pyright cannot see.
            client: Any = self._client()
            async with unavailable_on_failure(endpoint), client:
                token: object = await client.fetch_token(
                    endpoint, grant_type="authorization_code", code=code, code_verifier=code_verifier
                )
        except OAuthError as error:
            raise CodeRefused(f"{error.error}: {error.description}") from error
        tokens = cast("dict[str, Any]", token) if isinstance(token, dict) else {}
        if not isinstance(tokens.get("access_token"), str):
            raise ServiceUnavailable(f"{endpoint}: the response does not contain an access token")
        return tokens

    def _client(self) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self.client_id,
            self.client_secret,
            token_endpoint_auth_method=self.authentication,
            redirect_uri=self.redirect_uri,
            scope=self.scope,
            code_challenge_method="S256",
            verify=TLS,
        )

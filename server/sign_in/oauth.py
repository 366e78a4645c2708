"""The authorization code grant with PKCE, through Authlib.

https://www.rfc-editor.org/rfc/rfc6749#section-4.1 and https://www.rfc-editor.org/rfc/rfc7636
"""

# Authlib has no types: what comes out of it is given one here.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from dataclasses import dataclass
from typing import Any, cast

from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from server.auth.outbound import TLS, Unavailable, patience


class CodeRefused(Exception):
    """The provider does not take the code: used already, expired, or not ours."""


@dataclass(frozen=True, slots=True)
class CodeGrant:
    """A client as the provider knows it."""

    client_id: str
    client_secret: str | None
    redirect_uri: str
    scope: str | None
    authentication: str

    def authorization_url(
        self, endpoint: str, *, state: str, code_verifier: str, nonce: str | None = None
    ) -> str:
        """Return where to send the person's browser."""
        more = {} if nonce is None else {"nonce": nonce}
        url, _ = self._client().create_authorization_url(
            endpoint, state=state, code_verifier=code_verifier, **more
        )
        return url

    async def exchange(self, endpoint: str, code: str, code_verifier: str) -> dict[str, Any]:
        """Return what the provider gives for the code: tokens.

        Raises:
            CodeRefused: it gives none for this code.
            Unavailable: it does not answer as it should.
        """
        try:
            # Authlib's class is one of httpx2's, which pyright cannot see.
            client: Any = self._client()
            async with patience(endpoint), client:
                token: object = await client.fetch_token(
                    endpoint, grant_type="authorization_code", code=code, code_verifier=code_verifier
                )
        except OAuthError as error:
            raise CodeRefused(f"{error.error}: {error.description}") from error
        tokens = cast("dict[str, Any]", token) if isinstance(token, dict) else {}
        if not isinstance(tokens.get("access_token"), str):
            raise Unavailable(f"{endpoint}: the answer holds no access token")
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

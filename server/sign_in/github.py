"""Sign-in with GitHub.

https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
"""

from urllib.parse import urlsplit

from resolvers.identities import Profile
from server.auth.outbound import ServiceUnavailable, get_json
from server.sign_in.oauth import CodeGrant
from server.sign_in.provider import Identified, Secrets


class GitHub:
    """github.com, or a GitHub Enterprise Server."""

    id = "github"
    name = "GitHub"

    def __init__(self, url: str, client_id: str, client_secret: str, redirect_uri: str) -> None:
        self._url = url.rstrip("/")
        # Without a scope, GitHub returns the public profile, which is sufficient.
        self._grant = CodeGrant(client_id, client_secret, redirect_uri, None, "client_secret_post")

    async def authorization_url(self, of: Secrets) -> str:
        return self._grant.authorization_url(
            f"{self._url}/login/oauth/authorize", state=of.state, code_verifier=of.code_verifier
        )

    async def check_issuer(self, issuer: str | None) -> None:
        """Accept every response: GitHub does not send an issuer, but has its own callback address."""

    async def identify(self, of: Secrets, code: str) -> Identified:
        """Return the account, by its numeric ID, which stays the same when the login changes."""
        token = await self._grant.exchange(f"{self._url}/login/oauth/access_token", code, of.code_verifier)
        user = await get_json(
            f"{_api_url(self._url)}/user",
            {
                "authorization": f"Bearer {token['access_token']}",
                "accept": "application/vnd.github+json",
                "x-github-api-version": "2022-11-28",
            },
        )
        if not isinstance(user.get("id"), int):
            raise ServiceUnavailable("GitHub's response does not contain a user ID")
        names = [name for key in ("login", "name") if isinstance(name := user.get(key), str)]
        picture = user.get("avatar_url")
        return Identified(
            self._url, str(user["id"]), Profile(names, picture if isinstance(picture, str) else None)
        )


def _api_url(url: str) -> str:
    host = urlsplit(url).hostname or ""
    if host == "github.com" or host.endswith(".ghe.com"):
        return f"https://api.{host}"
    return f"{url}/api/v3"

"""Who a request speaks for: the bearer token's session, or the cookie's."""

from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import HTTPConnection
from starlette.responses import Response

from db.engine import Database
from db.records import Session
from resolvers import sessions
from resolvers.errors import Unauthenticated
from resolvers.sessions import SignIn
from server.origins import is_cross_site
from server.refusals import HttpRefusal


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose session it is, or why the token that came is not good; neither for nobody."""

    session: Session | None = None
    refused: str | None = None


class Identities:
    """Reads tokens from requests and puts them in cookies."""

    def __init__(self, database: Database, public_url: str, allowed_origins: list[str]) -> None:
        """Take cookies only from pages of `public_url` and `allowed_origins`."""
        self._database = database
        self._public_url = public_url
        self._allowed_origins = frozenset(allowed_origins)
        self._secure = public_url.startswith("https://")
        # The prefix makes browsers refuse a cookie that another host or plain HTTP has set.
        self._cookie = "__Host-messenger-session" if self._secure else "messenger-session"

    async def of(self, request: HTTPConnection) -> Identity:
        """Say who sent the request.

        Raises:
            HttpRefusal: 403, its cookie came from a page of another origin.
        """
        authorization = request.headers.get("authorization")
        if authorization is not None and not _is_bearer(authorization):
            return Identity(refused="Only `Authorization: Bearer TOKEN` is understood.")
        token = self.token_of(request)
        if token is None:
            return Identity()
        try:
            return Identity(await sessions.authenticate(self._database, token))
        except Unauthenticated as refusal:
            return Identity(refused=str(refusal))

    def token_of(self, request: HTTPConnection) -> str | None:
        """Return the request's token: the bearer's, or without that header the cookie's.

        Raises:
            HttpRefusal: 403, it is the cookie's and a page of another origin sent it.
        """
        authorization = request.headers.get("authorization")
        if authorization is not None:
            return authorization[7:].strip() if _is_bearer(authorization) else None
        token = self._cookie_of(request)
        if token is not None:
            self.refuse_cross_site(request)
        return token

    def _cookie_of(self, request: HTTPConnection) -> str | None:
        """Return our cookie's value, read as it was set: without quotes or escapes.

        Starlette would undo these, which takes Python 3.11 minutes for a header of a million backslashes.
        """
        for header in request.headers.getlist("cookie"):
            for pair in header.split(";"):
                name, _, value = pair.partition("=")
                if name.strip() == self._cookie:
                    return value.strip()
        return None

    def refuse_cross_site(self, request: HTTPConnection) -> None:
        """Accept a request that no other site's page has made.

        Raises:
            HttpRefusal: 403, one has.
        """
        if is_cross_site(request, self._public_url, self._allowed_origins):
            raise HttpRefusal(
                403,
                "CROSS_SITE",
                "This request comes from a page of another origin: the server's operator can allow it in"
                " MESSENGER_ALLOWED_ORIGINS.",
            )

    def set_cookie(self, response: Response, sign_in: SignIn) -> None:
        """Have the browser keep the session's token, out of reach of scripts."""
        response.set_cookie(
            self._cookie,
            sign_in.token,
            max_age=max(0, int((sign_in.session.expires_at - datetime.now(UTC)).total_seconds())),
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def delete_cookie(self, response: Response) -> None:
        """Have the browser forget the token."""
        response.delete_cookie(self._cookie, path="/", secure=self._secure, httponly=True, samesite="lax")


def _is_bearer(authorization: str) -> bool:
    return authorization[:7].lower() == "bearer "

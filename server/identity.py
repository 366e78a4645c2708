"""Who a request speaks for: the bearer token's session, or the cookie's."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from starlette.requests import HTTPConnection
from starlette.responses import Response

from db.engine import Database
from db.records import Session, User
from resolvers import sessions
from resolvers.errors import Unauthenticated
from resolvers.sessions import SignIn
from server.cookies import cookie_of
from server.json_web_keys import TokenNotTrusted
from server.origins import is_cross_site
from server.outbound import Unavailable
from server.refusals import HttpRefusal
from server.token_issuer import TokenIssuer, looks_like_jwt

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who it is and until when, or why the token that came is not good; neither for nobody.

    Who signed in here has a session; whom another issuer vouches for has none.
    """

    user: User | None = None
    session: Session | None = None
    expires_at: datetime | None = None
    refused: str | None = None


class Identities:
    """Reads tokens from requests and puts them in cookies."""

    def __init__(
        self,
        database: Database,
        public_url: str,
        allowed_origins: list[str],
        token_issuer: TokenIssuer | None = None,
    ) -> None:
        """Take cookies only from pages of `public_url` and `allowed_origins`, and the issuer's tokens."""
        self._database = database
        self._token_issuer = token_issuer
        self._public_url = public_url
        self._allowed_origins = frozenset(allowed_origins)
        self._secure = public_url.startswith("https://")
        # The prefix makes browsers refuse a cookie that another host or plain HTTP has set.
        self._cookie = "__Host-messenger-session" if self._secure else "messenger-session"

    async def of(self, request: HTTPConnection) -> Identity:
        """Say who sent the request.

        Raises:
            HttpRefusal: 403, its cookie came from a page of another origin; 503, the keys to check its token
                with cannot be had.
        """
        authorization = request.headers.get("authorization")
        if authorization is not None and not _is_bearer(authorization):
            return Identity(refused="Only `Authorization: Bearer TOKEN` is understood.")
        token = self.token_of(request)
        if token is None:
            return Identity()
        if self._token_issuer is not None and authorization is not None and looks_like_jwt(token):
            return await self._vouched_for(self._token_issuer, token)
        try:
            session = await sessions.authenticate(self._database, token)
        except Unauthenticated as refusal:
            return Identity(refused=str(refusal))
        return Identity(session.user, session, session.expires_at)

    async def _vouched_for(self, issuer: TokenIssuer, token: str) -> Identity:
        try:
            vouched = await issuer.user_of(self._database, token)
        except TokenNotTrusted as error:
            log.info("a token was not believed", error=str(error))
            return Identity(
                refused="The token is not signed by its issuer, not for this server, or not for now."
            )
        except Unavailable as error:
            raise HttpRefusal(
                503, "UNAVAILABLE", "The token cannot be checked now: try again.", {"retry-after": "5"}
            ) from error
        return Identity(vouched.user, None, vouched.expires_at)

    def token_of(self, request: HTTPConnection) -> str | None:
        """Return the request's token: the bearer's, or without that header the cookie's.

        Raises:
            HttpRefusal: 403, it is the cookie's and a page of another origin sent it.
        """
        authorization = request.headers.get("authorization")
        if authorization is not None:
            return authorization[7:].strip() if _is_bearer(authorization) else None
        token = cookie_of(request, self._cookie)
        if token is not None:
            self.refuse_cross_site(request)
        return token

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

"""Who a request speaks for: the bearer token's session, or the cookie's."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import structlog
from cachetools import TTLCache
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from db.engine import Database
from db.records import Session, User
from resolvers import sessions
from resolvers.errors import Unauthenticated
from resolvers.sessions import SignIn
from resolvers.tokens import hash_of
from schema.node import NodeType
from server.auth.cookies import cookie_of
from server.auth.json_web_keys import TokenNotTrusted
from server.auth.origins import is_cross_site
from server.auth.outbound import Unavailable
from server.auth.token_issuer import TokenIssuer, looks_like_jwt
from server.config.settings import Settings
from server.http.refusals import HttpRefusal
from server.limits.rate_limits import RateLimits

# The ID of the user that a page was loaded for. Once another user has signed in in another tab, the browser
# sends that user's cookie: such a request is rejected rather than executed for the wrong user.
VIEWER_HEADER = "messenger-viewer"

log = structlog.stdlib.get_logger(__name__)

_RENEWAL = "messenger.cookie_renewal"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who it is and until when, or why the token that came is not good; neither for nobody.

    Who signed in here has a session; whom another issuer vouches for has none. `renews_cookie` is the token
    whose cookie has to last longer, because its session does.
    """

    user: User | None = None
    session: Session | None = None
    expires_at: datetime | None = None
    refused: str | None = None
    renews_cookie: str | None = None


class KnownIdentities:
    """Whose the tokens were that came a few seconds ago: a bounded number, by the tokens' hashes."""

    def __init__(self, seconds: float, most: int = 10_000) -> None:
        """Know each for that long."""
        self._known = TTLCache[str, Identity](most, seconds)
        self.times_forgotten = 0

    def get(self, token: str) -> Identity | None:
        """Return whose the token was, if that is known and still so."""
        known = self._known.get(hash_of(token))
        if known is None or known.expires_at is None or known.expires_at <= datetime.now(UTC):
            return None
        return known

    def learn(self, token: str, identity: Identity, *, times_forgotten: int) -> None:
        """Note whose the token is, unless sessions have ended since `times_forgotten`: maybe its own."""
        if identity.user is not None and times_forgotten == self.times_forgotten:
            self._known[hash_of(token)] = replace(identity, renews_cookie=None)

    def forget(self, session_ids: Collection[UUID]) -> None:
        """Forget the tokens of these sessions."""
        self.times_forgotten += 1
        for key, known in list(self._known.items()):
            if known.session is not None and known.session.id in session_ids:
                del self._known[key]


class Identities:
    """Reads tokens from requests and puts them in cookies."""

    def __init__(
        self,
        database: Database,
        public_url: str,
        settings: Settings,
        limits: RateLimits,
        token_issuer: TokenIssuer | None = None,
    ) -> None:
        """Take cookies only from pages of `public_url` and the allowed origins, and the issuer's tokens."""
        self._database = database
        self._time = settings.session_time()
        self._known = KnownIdentities(settings.session_cache_seconds)
        self._limits = limits
        self._token_issuer = token_issuer
        self._public_url = public_url
        self._allowed_origins = frozenset(settings.allowed_origins)
        self._secure = public_url.startswith("https://")
        # The prefix makes browsers refuse a cookie that another host or plain HTTP has set.
        self._cookie = "__Host-messenger-session" if self._secure else "messenger-session"

    async def of(self, request: HTTPConnection) -> Identity:
        """Say who sent the request, and count it as theirs.

        Raises:
            HttpRefusal: 403, its cookie came from a page of another origin; 429, they send too many; 503, the
                keys to check its token with cannot be had.
        """
        identity = await self._identify(request)
        if identity.renews_cookie is not None and identity.expires_at is not None:
            renewing = Response()
            self._set_cookie(renewing, identity.renews_cookie, identity.expires_at)
            [header] = [each for each in renewing.raw_headers if each[0] == b"set-cookie"]
            request.scope[_RENEWAL] = header
        if identity.user is not None:
            expected = request.headers.get(VIEWER_HEADER)
            if expected is not None and expected != NodeType.USER.encode(identity.user.id):
                return Identity(refused="Another user has signed in here: load the page again.")
            await self._limits.count_request_by(identity.user.id)
        return identity

    async def _identify(self, request: HTTPConnection) -> Identity:
        authorization = request.headers.get("authorization")
        if authorization is not None and not _is_bearer(authorization):
            return Identity(refused="Only `Authorization: Bearer TOKEN` is understood.")
        token = self.token_of(request)
        if token is None:
            return Identity()
        # Another issuer's are good in the header only, and so are not known by what a cookie holds.
        issuer = self._token_issuer if authorization is not None and looks_like_jwt(token) else None
        known = self._known.get(token)
        if known is not None and (known.session is not None or issuer is not None):
            return known
        times_forgotten = self._known.times_forgotten
        if issuer is not None:
            identity = await self._vouched_for(issuer, token)
        else:
            identity = await self._signed_in(token, renew_cookie=authorization is None)
        self._known.learn(token, identity, times_forgotten=times_forgotten)
        return identity

    async def session_of_cookie(self, request: HTTPConnection) -> Session | None:
        """Return the session that the browser has been signed in with, wherever its request comes from."""
        token = cookie_of(request, self._cookie)
        return None if token is None else (await self._signed_in(token, renew_cookie=False)).session

    def forget(self, session_ids: Collection[UUID]) -> None:
        """Have the tokens of these sessions looked up again: they have ended."""
        self._known.forget(session_ids)

    async def _signed_in(self, token: str, *, renew_cookie: bool) -> Identity:
        try:
            session, extended = await sessions.authenticate(self._database, token, self._time)
        except Unauthenticated as refusal:
            return Identity(refused=str(refusal))
        return Identity(
            session.user,
            session,
            session.expires_at,
            renews_cookie=token if extended and renew_cookie else None,
        )

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
        self._set_cookie(response, sign_in.token, sign_in.session.expires_at)

    def _set_cookie(self, response: Response, token: str, expires_at: datetime) -> None:
        response.set_cookie(
            self._cookie,
            token,
            max_age=max(0, int((expires_at - datetime.now(UTC)).total_seconds())),
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def delete_cookie(self, response: Response) -> None:
        """Have the browser forget the token."""
        response.delete_cookie(self._cookie, path="/", secure=self._secure, httponly=True, samesite="lax")


def cookie_renewal(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the header by which the browser keeps its cookie as long as the session lasts.

    It is there if `Identities.of` has given the request's session more time. Each answer has to carry it,
    whatever it is: no later request gets it for the next hour.
    """
    return [scope[_RENEWAL]] if _RENEWAL in scope else []


def _is_bearer(authorization: str) -> bool:
    return authorization[:7].lower() == "bearer "

"""Authenticating requests, by a bearer token or by the session cookie."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from time import monotonic
from uuid import UUID

import structlog
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from db.engine import Database
from db.records import Session, User
from resolvers import sessions
from resolvers.errors import Unauthenticated
from resolvers.sessions import SignIn
from schema.node import NodeType
from server.auth.cookies import cookie_of
from server.auth.json_web_keys import TokenNotTrusted
from server.auth.origins import is_cross_site
from server.auth.outbound import ServiceUnavailable
from server.auth.token_issuer import TokenIssuer, looks_like_jwt
from server.config.settings import Settings
from server.http.headers import header
from server.http.refusals import HttpRefusal
from server.limits.rate_limits import RateLimits

# The ID of the user that a page was loaded for. Once another user has signed in in another tab, the browser
# sends that user's cookie: such a request is rejected rather than executed for the wrong user.
VIEWER_HEADER = "messenger-viewer"
_VIEWER_HEADER = VIEWER_HEADER.encode()

log = structlog.stdlib.get_logger(__name__)

_AUTHORIZATION = b"authorization"
_RENEWAL = "messenger.cookie_renewal"


@dataclass(frozen=True, slots=True)
class Identity:
    """The user and when their token expires, or why the token was rejected; all None without a token.

    A user with a token of another issuer has no session. `renews_cookie` is the token to set as a cookie
    again, because its session was extended.
    """

    user: User | None = None
    session: Session | None = None
    expires_at: datetime | None = None
    refused: str | None = None
    renews_cookie: str | None = None


_UNKNOWN = (0.0, Identity())


class KnownIdentities:
    """A cache of verified tokens, by their hashes: at most `max_size`, each for a few seconds."""

    def __init__(self, seconds: float, max_size: int = 10_000) -> None:
        self._seconds = seconds
        self._max_size = max_size
        # In the order of their deadlines, since all are cached for the same time.
        self._known: dict[bytes, tuple[float, Identity]] = {}
        self.times_forgotten = 0

    def __len__(self) -> int:
        """Return the number of cached identities."""
        return len(self._known)

    def get(self, token: str) -> Identity | None:
        """Return the cached identity, unless the token has expired since."""
        deadline, known = self._known.get(_hash_of(token), _UNKNOWN)
        if known.expires_at is None or known.expires_at <= datetime.now(UTC) or deadline <= monotonic():
            return None
        return known

    def learn(self, token: str, identity: Identity, *, times_forgotten: int) -> None:
        """Cache the token's identity, unless a session has ended since `times_forgotten` was read.

        That session may be the token's own, which was looked up before it ended.
        """
        if identity.user is not None and times_forgotten == self.times_forgotten:
            if identity.renews_cookie is not None:
                identity = replace(identity, renews_cookie=None)
            key, now = _hash_of(token), monotonic()
            self._known.pop(key, None)
            self._make_room(now)
            self._known[key] = now + self._seconds, identity

    def _make_room(self, now: float) -> None:
        """Remove expired identities, and the oldest one if there are too many."""
        while self._known:
            oldest = next(iter(self._known))
            if self._known[oldest][0] > now and len(self._known) < self._max_size:
                return
            del self._known[oldest]

    def forget(self, session_ids: Collection[UUID]) -> None:
        """Remove the tokens of these sessions."""
        self.times_forgotten += 1
        for key, (_, known) in list(self._known.items()):
            if known.session is not None and known.session.id in session_ids:
                del self._known[key]


class Authenticator:
    """Authenticates requests, and sets and deletes the session cookie."""

    def __init__(
        self,
        database: Database,
        public_url: str,
        settings: Settings,
        limits: RateLimits,
        token_issuer: TokenIssuer | None = None,
    ) -> None:
        """Accept cookies from pages of `public_url` and the allowed origins, and tokens of the issuer."""
        self._database = database
        self._time = settings.session_time()
        self._known = KnownIdentities(settings.session_cache_seconds)
        self._limits = limits
        self._token_issuer = token_issuer
        self._public_url = public_url
        self._allowed_origins = frozenset(settings.allowed_origins)
        self._secure = public_url.startswith("https://")
        # The prefix makes browsers reject a cookie that another host or plain HTTP sets.
        self._cookie = "__Host-messenger-session" if self._secure else "messenger-session"

    async def of(self, request: HTTPConnection) -> Identity:
        """Authenticate the request, and count it against its user's rate limit.

        Raises:
            HttpRefusal: 403, a page of another origin sent the cookie; 429, the user sends too many requests;
                503, the keys to verify the token are not available.
        """
        identity = await self._identify(request)
        if identity.renews_cookie is not None and identity.expires_at is not None:
            renewing = Response()
            self._set_cookie(renewing, identity.renews_cookie, identity.expires_at)
            [set_cookie] = [each for each in renewing.raw_headers if each[0] == b"set-cookie"]
            request.scope[_RENEWAL] = set_cookie
        if identity.user is not None:
            expected = header(request, _VIEWER_HEADER)
            if expected is not None and expected != NodeType.USER.encode(identity.user.id):
                return Identity(refused="Another user has signed in in this browser. Reload the page.")
            if self._limits.is_on:
                await self._limits.count_request_by(identity.user.id)
        return identity

    async def _identify(self, request: HTTPConnection) -> Identity:
        authorization = header(request, _AUTHORIZATION)
        token = self._token_of(request, authorization)
        if token is None:
            refused = None if authorization is None else "Only `Authorization: Bearer TOKEN` is supported."
            return Identity(refused=refused)
        issuer = self._token_issuer
        # Tokens of another issuer are accepted in the header only, so a cookie must not find a cached one.
        if issuer is not None and (authorization is None or not looks_like_jwt(token)):
            issuer = None
        known = self._known.get(token)
        if known is not None and (known.session is not None or issuer is not None):
            return known
        times_forgotten = self._known.times_forgotten
        if issuer is not None:
            identity = await self._of_issuer(issuer, token)
        else:
            identity = await self._of_session(token, renew_cookie=authorization is None)
        self._known.learn(token, identity, times_forgotten=times_forgotten)
        return identity

    async def session_of_cookie(self, request: HTTPConnection) -> Session | None:
        """Return the session of the browser's cookie, whichever site the request comes from."""
        token = cookie_of(request, self._cookie)
        return None if token is None else (await self._of_session(token, renew_cookie=False)).session

    def forget(self, session_ids: Collection[UUID]) -> None:
        """Remove the tokens of ended sessions from the cache."""
        self._known.forget(session_ids)

    async def _of_session(self, token: str, *, renew_cookie: bool) -> Identity:
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

    async def _of_issuer(self, issuer: TokenIssuer, token: str) -> Identity:
        try:
            verified = await issuer.user_of(self._database, token)
        except TokenNotTrusted as error:
            log.info("token rejected", error=str(error))
            return Identity(
                refused="The token is invalid: its signature, issuer, audience or lifetime is wrong."
            )
        except ServiceUnavailable as error:
            raise HttpRefusal(
                503,
                "UNAVAILABLE",
                "The token cannot be verified at the moment. Try again in a few seconds.",
                {"retry-after": "5"},
            ) from error
        return Identity(verified.user, None, verified.expires_at)

    def token_of(self, request: HTTPConnection) -> str | None:
        """Return the token in the Authorization header, or without that header in the cookie.

        Raises:
            HttpRefusal: 403, it is in the cookie, and a page of another origin sent the request.
        """
        return self._token_of(request, header(request, _AUTHORIZATION))

    def _token_of(self, request: HTTPConnection, authorization: str | None) -> str | None:
        if authorization is not None:
            return authorization[7:].strip() if _is_bearer(authorization) else None
        token = cookie_of(request, self._cookie)
        if token is not None:
            self.reject_cross_site(request)
        return token

    def reject_cross_site(self, request: HTTPConnection) -> None:
        """Reject a request that a page of another origin sent.

        Raises:
            HttpRefusal: 403, it is one.
        """
        if is_cross_site(request, self._public_url, self._allowed_origins):
            raise HttpRefusal(
                403,
                "CROSS_SITE",
                "The request comes from a page of an origin that is not allowed. The operator of the server"
                " can add it to MESSENGER_ALLOWED_ORIGINS.",
            )

    def set_cookie(self, response: Response, sign_in: SignIn) -> None:
        """Set the session's token as a cookie that scripts cannot read."""
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
        response.delete_cookie(self._cookie, path="/", secure=self._secure, httponly=True, samesite="lax")


def cookie_renewal(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the set-cookie header for the response, if `Authenticator.of` extended the request's session.

    Every kind of response has to carry it, because the session is extended at most once an hour.
    """
    return [scope[_RENEWAL]] if _RENEWAL in scope else []


def _hash_of(token: str) -> bytes:
    """Return a hash for the memory of this process, which takes less time than the one in the database."""
    return blake2b(token.encode(), digest_size=32).digest()


def _is_bearer(authorization: str) -> bool:
    return authorization[:7].lower() == "bearer "

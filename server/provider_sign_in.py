"""Signing in with a provider: there, back, and on to where the person came from.

What a sign-in must remember while the person is at the provider (state, nonce, PKCE's verifier) goes with
their browser, in a cookie that only this server can read: sealed, out of reach of scripts, good for ten
minutes. Kept in the database instead, it would let anybody fill that, who needs no account for it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import structlog
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from db.engine import Database, DatabaseUnavailable
from db.records import User
from resolvers import identities, sessions
from resolvers.context import SessionsEnded
from resolvers.errors import Unauthenticated
from resolvers.identities import SubjectRefused
from server.bodies import read_json_object
from server.cookies import cookie_of
from server.identity import Identities
from server.json_web_keys import TokenNotTrusted
from server.oauth import CodeRefused
from server.outbound import Unavailable
from server.pages import problem_page
from server.providers import Provider, Secrets
from server.rate_limits import RateLimits, address_of
from server.refusals import HttpRefusal
from server.responses import json_response, sign_in_response
from server.secret_key import Seal
from server.settings import Settings

log = structlog.stdlib.get_logger(__name__)

_PENDING_SECONDS = 600
_MAX_ADDRESS_CHARS = 2000
# https://www.rfc-editor.org/rfc/rfc7636#section-4.1 and #section-4.2, SHA-256 only.
_CODE_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_CODE_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a sign-in ends: a page of ours, or a frontend of an allowed origin, which gets a code."""

    address: str
    code_challenge: str | None = None
    state: str | None = None

    def with_code(self, code: str) -> str:
        """Return the frontend's address with the code, and the state that it gave us."""
        query = urlencode({"code": code, **({} if self.state is None else {"state": self.state})})
        return f"{self.address}{'&' if urlsplit(self.address).query else '?'}{query}"


@dataclass(frozen=True, slots=True)
class _Pending:
    """A sign-in while the person is at the provider."""

    provider: str
    secrets: Secrets
    destination: Destination

    @classmethod
    def of(cls, value: dict[str, Any]) -> "_Pending":
        return cls(value["provider"], Secrets(**value["secrets"]), Destination(**value["destination"]))


@dataclass(frozen=True, slots=True)
class _Failure(Exception):
    """Why a sign-in did not work out, for the person."""

    title: str
    text: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


_FAULT = _Failure(
    "Something went wrong here",
    "It is this server's fault, and nobody was signed in. Please try again; if it happens again, tell whoever"
    " runs the server what stands at the end of this page.",
    500,
)
_CANNOT_ANSWER = _Failure(
    "You could not be signed in just now",
    "The server has a problem of its own that should pass soon. Please try again in a few minutes.",
    503,
)


class ProviderSignIn:
    """The endpoints of sign-in with a provider, and the exchange of its one-time codes."""

    def __init__(
        self,
        database: Database,
        identities: Identities,
        providers: Sequence[Provider],
        *,
        sessions_ended: SessionsEnded,
        limits: RateLimits,
        seal: Seal,
        settings: Settings,
        public_url: str,
        dev_login: bool,
    ) -> None:
        """Offer these providers."""
        self._database = database
        self._identities = identities
        self._providers = {provider.id: provider for provider in providers}
        self._sessions_ended = sessions_ended
        self._limits = limits
        self._seal = seal
        self._settings = settings
        self._public_url = public_url
        self._dev_login = dev_login
        self._time = settings.session_time()
        self._secure = public_url.startswith("https://")
        self._cookie = "__Host-messenger-sign-in" if self._secure else "messenger-sign-in"

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/auth/providers", self.list_providers),
            *(Route(f"/auth/{name}/login", self.log_in) for name in ("github", "oidc")),
            *(Route(f"/auth/{name}/callback", self.call_back) for name in ("github", "oidc")),
            Route("/auth/token", self.exchange_code, methods=["POST"]),
        ]

    async def list_providers(self, request: Request) -> Response:
        """Tell a frontend what its sign-in page can offer."""
        return json_response(
            {
                "providers": [
                    {
                        "id": provider.id,
                        "name": provider.name,
                        "loginUrl": f"{self._public_url}/auth/{provider.id}/login",
                    }
                    for provider in self._providers.values()
                ],
                "devLogin": self._dev_login,
            }
        )

    async def log_in(self, request: Request) -> Response:
        """Send the person to the provider."""
        destination = self._destination(request)
        try:
            await self._count(request)
            provider = self._provider(request)
            secrets = Secrets.make()
            try:
                address = await provider.authorization_url(secrets)
            except Unavailable as error:
                raise _is_down(provider, error) from error
        except _Failure as failure:
            return self._page(failure, request, destination)
        response = _redirect(address)
        pending = _Pending(provider.id, secrets, destination)
        response.set_cookie(
            self._cookie,
            self._seal.close(asdict(pending), _PENDING_SECONDS),
            max_age=_PENDING_SECONDS,
            path="/",
            secure=self._secure,
            httponly=True,
            # The way back from the provider is a link from another site.
            samesite="lax",
        )
        return response

    async def call_back(self, request: Request) -> Response:
        """Take the person who comes back from the provider, and sign them in."""
        pending = self._pending(request)
        try:
            await self._count(request)
            response = await self._finish(self._provider(request), pending, request)
        except _Failure as failure:
            response = self._page(failure, request, pending.destination if pending else None)
        except DatabaseUnavailable:
            response = self._page(_CANNOT_ANSWER, request, pending.destination if pending else None)
        except Exception:
            # Here a person waits, who can do nothing with JSON.
            log.exception("the request failed")
            response = self._page(_FAULT, request, pending.destination if pending else None)
        response.delete_cookie(self._cookie, path="/", secure=self._secure, httponly=True, samesite="lax")
        return response

    async def exchange_code(self, request: Request) -> Response:
        """Give a frontend the token for its one-time code and the verifier of its challenge."""
        self._identities.refuse_cross_site(request)
        await self._limits.count_sign_in_from(address_of(request))
        body = await read_json_object(request, self._settings.body_limits())
        code, verifier = body.get("code"), body.get("code_verifier")
        if not isinstance(code, str) or not isinstance(verifier, str):
            raise HttpRefusal(400, "BAD_USER_INPUT", 'Send {"code": "...", "code_verifier": "..."}.')
        if not code.isascii() or not _CODE_VERIFIER.fullmatch(verifier):
            raise HttpRefusal(400, "BAD_USER_INPUT", "A code verifier has 43 to 128 letters and digits.")
        try:
            user = await identities.redeem_code(self._database, code, verifier)
        except Unauthenticated as error:
            raise HttpRefusal(400, "CODE_INVALID", str(error)) from error
        user_agent = request.headers.get("user-agent")
        sign_in = await sessions.open_session(self._database, user, self._time, user_agent)
        response = sign_in_response(sign_in)
        self._identities.set_cookie(response, sign_in)
        return response

    async def _count(self, request: Request) -> None:
        try:
            await self._limits.count_sign_in_from(address_of(request))
        except HttpRefusal as refusal:
            raise _Failure("Too many sign-ins", refusal.message, refusal.status, refusal.headers) from refusal

    def _destination(self, request: Request) -> Destination:
        """Read where the sign-in is to end.

        Raises:
            HttpRefusal: 400, that is no place we send people to; or a page's script asks.
        """
        if request.headers.get("sec-fetch-mode", "navigate") != "navigate":
            raise HttpRefusal(400, "BAD_USER_INPUT", "Sign-in is a page: have the browser go there.")
        given = request.query_params
        elsewhere = given.get("redirect_uri")
        if elsewhere is None:
            following = given.get("next", "/")
            if not self._is_ours(following):
                raise HttpRefusal(
                    400, "BAD_USER_INPUT", "`next` must be a path on this server, like /graphql."
                )
            return Destination(following)
        if not self._is_allowed(elsewhere):
            raise HttpRefusal(
                400,
                "BAD_USER_INPUT",
                "`redirect_uri` must be a page of an origin in MESSENGER_ALLOWED_ORIGINS.",
            )
        challenge = given.get("code_challenge", "")
        if given.get("code_challenge_method") != "S256" or not _CODE_CHALLENGE.fullmatch(challenge):
            raise HttpRefusal(
                400,
                "BAD_USER_INPUT",
                "With `redirect_uri` send `code_challenge`, the SHA-256 of your code verifier in base64url,"
                " and `code_challenge_method=S256`.",
            )
        state = given.get("state")
        if state is not None and len(state) > 500:
            raise HttpRefusal(400, "BAD_USER_INPUT", "`state` has over 500 characters.")
        return Destination(elsewhere, challenge, state)

    def _is_ours(self, path: str) -> bool:
        """Say whether a browser that is sent to `path` stays on this server."""
        # Browsers take a backslash for a slash, and leave out tabs and line breaks.
        return (
            path.startswith("/")
            and not path.startswith(("//", "/\\"))
            and path.isprintable()
            and len(path) <= _MAX_ADDRESS_CHARS
        )

    def _is_allowed(self, address: str) -> bool:
        try:
            parts = urlsplit(address)
        except ValueError:
            return False
        return (
            f"{parts.scheme}://{parts.netloc}" in {*self._settings.allowed_origins, self._public_url}
            and not parts.fragment
            and address.isprintable()
            and len(address) <= _MAX_ADDRESS_CHARS
        )

    def _pending(self, request: Request) -> _Pending | None:
        """Return the sign-in that this browser has under way with this state, None when there is none."""
        value = self._seal.open(cookie_of(request, self._cookie) or "")
        pending = None if value is None else _Pending.of(value)
        if pending is None or pending.provider != _provider_id(request):
            return None
        return pending if pending.secrets.state == request.query_params.get("state") else None

    def _provider(self, request: Request) -> Provider:
        provider = self._providers.get(_provider_id(request))
        if provider is None:
            raise _Failure(
                "There is no such sign-in here",
                "This server has not been set up for it. Choose another way to sign in.",
                404,
            )
        return provider

    async def _finish(self, provider: Provider, pending: _Pending | None, request: Request) -> Response:
        """Let the person go on, signed in; a frontend of another origin has a code to exchange first."""
        if pending is None:
            raise _Failure(
                "This sign-in has expired",
                "It took more than ten minutes, was started in another browser or window, or was finished"
                " before. Nothing has happened to your account: please sign in again.",
                400,
            )
        user = await self._identify(provider, pending, request.query_params)
        destination = pending.destination
        if destination.code_challenge is not None:
            code = await identities.make_code(self._database, user, destination.code_challenge)
            return _redirect(destination.with_code(code))
        before = await self._identities.session_of_cookie(request)
        sign_in = await sessions.open_session(
            self._database, user, self._time, request.headers.get("user-agent")
        )
        if before is not None:
            # Its cookie is about to be replaced: nobody could end it any more.
            await sessions.end(self._database, before)
            self._sessions_ended([before.id])
        response = _redirect(destination.address)
        self._identities.set_cookie(response, sign_in)
        return response

    async def _identify(self, provider: Provider, pending: _Pending, given: QueryParams) -> User:
        """Return whom the provider vouches for."""
        try:
            await provider.check_issuer(given.get("iss"))
            if "error" in given or not given.get("code"):
                raise _turned_down(provider, given.get("error", ""), given.get("error_description", ""))
            found = await provider.identify(pending.secrets, given["code"])
            user = await identities.user_for(self._database, found.issuer, found.subject, found.profile)
        except Unavailable as error:
            raise _is_down(provider, error) from error
        except CodeRefused as error:
            log.warning("the provider did not take its code", provider=provider.id, error=str(error))
            raise _Failure(
                f"{provider.name} did not confirm the sign-in",
                "It may have taken too long. Please sign in again.",
                400,
            ) from error
        except (TokenNotTrusted, SubjectRefused) as error:
            log.warning("a sign-in was not believed", provider=provider.id, error=str(error))
            raise _Failure(
                "This sign-in could not be verified",
                f"What came back does not prove that it is from {provider.name} and meant for you, so nobody"
                " was signed in. Please try again; if it happens again, tell whoever runs this server.",
                502,
            ) from error
        log.info("signed in", provider=provider.id, user=str(user.id))
        return user

    def _page(self, failure: _Failure, request: Request, destination: Destination | None) -> Response:
        links = {"Sign in again": f"/auth/{_provider_id(request)}/login"}
        if failure.status == 404:
            links = {}
        if destination is not None and destination.code_challenge is not None:
            # It has a challenge of its own for each try: only there can the sign-in begin again.
            links = {f"Back to {urlsplit(destination.address).netloc}": destination.address}
        elif destination is not None and links:
            links["Sign in again"] += "?" + urlencode({"next": destination.address})
        note = f"Request {request.state.request_id}"
        page = problem_page(failure.title, failure.text, failure.status, links=links, note=note)
        page.headers.update(failure.headers)
        return page


def _turned_down(provider: Provider, error: str, description: str) -> _Failure:
    if error == "access_denied":
        return _Failure(
            "You have not been signed in",
            f"{provider.name} was told not to let us know who you are. Sign in again if that was a mistake.",
            403,
        )
    log.warning("the provider turned a sign-in down", provider=provider.id, error=error, why=description)
    return _Failure(
        f"{provider.name} could not sign you in",
        "It did not say who you are. Please try again; if it happens again, tell whoever runs this server.",
        502,
    )


def _is_down(provider: Provider, error: Unavailable) -> _Failure:
    log.warning("a provider does not answer", provider=provider.id, error=str(error))
    return _Failure(
        f"{provider.name} does not answer",
        "It may be down for a moment, or out of this server's reach. Please try again in a few minutes.",
        503,
    )


def _provider_id(request: Request) -> str:
    return request.url.path.split("/")[2]


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})

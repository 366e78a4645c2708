"""Signing in with a provider: redirecting there, the callback, and redirecting to the destination."""

import re
from collections.abc import Sequence
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
from server.auth.authentication import Authenticator
from server.auth.json_web_keys import TokenNotTrusted
from server.auth.outbound import ServiceUnavailable
from server.config.settings import Settings
from server.http.bodies import BodyLimits, read_json_object
from server.http.problem_page import problem_page
from server.http.refusals import HttpRefusal
from server.http.responses import json_response, sign_in_response
from server.limits.rate_limits import RateLimits, address_of
from server.sign_in.destinations import Destination, destination_of
from server.sign_in.failures import (
    SignInFailure,
    database_unavailable,
    internal_error,
    not_configured,
    not_confirmed,
    not_pending,
    not_verified,
    provider_unavailable,
    rejected_by_provider,
)
from server.sign_in.oauth import CodeRefused
from server.sign_in.pending import Pending, PendingSignIns
from server.sign_in.provider import Provider, Secrets
from server.sign_in.seal import Seal, secret_key

log = structlog.stdlib.get_logger(__name__)

# https://www.rfc-editor.org/rfc/rfc7636#section-4.1
_CODE_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class ProviderSignIn:
    """The endpoints of sign-in with a provider, and the exchange of one-time codes for tokens."""

    def __init__(
        self,
        database: Database,
        authenticator: Authenticator,
        providers: Sequence[Provider],
        *,
        sessions_ended: SessionsEnded,
        limits: RateLimits,
        settings: Settings,
        public_url: str,
        dev_login: bool,
    ) -> None:
        self._database = database
        self._authenticator = authenticator
        self._providers = {provider.id: provider for provider in providers}
        self._sessions_ended = sessions_ended
        self._limits = limits
        seal = Seal(secret_key(settings), "sign-in under way")
        self._pending = PendingSignIns(seal, secure=public_url.startswith("https://"))
        self._body_limits = BodyLimits.of(settings)
        self._settings = settings
        self._public_url = public_url
        self._dev_login = dev_login
        self._time = settings.session_time()

    def routes(self) -> list[Route]:
        return [
            Route("/auth/providers", self.list_providers),
            *(Route(f"/auth/{name}/login", self.log_in) for name in ("github", "oidc")),
            *(Route(f"/auth/{name}/callback", self.call_back) for name in ("github", "oidc")),
            Route("/auth/token", self.exchange_code, methods=["POST"]),
        ]

    async def list_providers(self, request: Request) -> Response:
        """Return the ways to sign in, for a frontend's sign-in page."""
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
        """Redirect the browser to the provider.

        This does not count as a sign-in attempt, because any site can send browsers here, and would use up
        the limit of all users behind their address.
        """
        _reject_unless_navigation(request)
        destination = destination_of(request, self._settings.redirect_uris)
        try:
            return await self._begin(self._provider(request), destination, request)
        except SignInFailure as failure:
            return _page(failure, request, destination)

    async def call_back(self, request: Request) -> Response:
        """Sign in the user who returns from the provider."""
        _reject_unless_navigation(request)
        pending = self._pending.find(request, _provider_id(request))
        try:
            response = await self._complete(self._provider(request), pending, request)
        except SignInFailure as failure:
            response = _page(failure, request, pending.destination if pending else None)
            if failure.is_temporary:
                # The sign-in stays pending, so that reloading the page tries again.
                return response
        if pending is not None:
            self._pending.forget(response, pending)
        return response

    async def exchange_code(self, request: Request) -> Response:
        """Exchange a frontend's one-time code and code verifier for a token."""
        self._authenticator.reject_cross_site(request)
        await self._limits.count_sign_in_from(address_of(request))
        body = await read_json_object(request, self._body_limits)
        code, verifier = body.get("code"), body.get("code_verifier")
        if not isinstance(code, str) or not isinstance(verifier, str):
            raise HttpRefusal(400, "BAD_USER_INPUT", 'Send {"code": "...", "code_verifier": "..."}.')
        if not code.isascii() or not _CODE_VERIFIER.fullmatch(verifier):
            raise HttpRefusal(
                400,
                "BAD_USER_INPUT",
                "`code_verifier` must have 43 to 128 letters, digits or `-._~`.",
            )
        try:
            user = await identities.redeem_code(self._database, code, verifier)
        except Unauthenticated as error:
            raise HttpRefusal(400, "CODE_INVALID", str(error)) from error
        user_agent = request.headers.get("user-agent")
        sign_in = await sessions.open_session(self._database, user, self._time, user_agent)
        response = sign_in_response(sign_in)
        self._authenticator.set_cookie(response, sign_in)
        return response

    async def _begin(
        self, provider: Provider, destination: Destination, request: Request, *, is_retry: bool = False
    ) -> Response:
        secrets = Secrets.make()
        try:
            response = _redirect(await provider.authorization_url(secrets))
        except ServiceUnavailable as error:
            raise provider_unavailable(provider, error) from error
        self._pending.keep(response, request, Pending(provider.id, secrets, destination, is_retry))
        return response

    async def _complete(self, provider: Provider, pending: Pending | None, request: Request) -> Response:
        """Complete the sign-in; all errors become a `SignInFailure`, because a person sees the response."""
        try:
            if pending is None:
                return await self._without_pending(request)
            await self._count(request)
            return await self._finish(provider, pending, request)
        except SignInFailure:
            raise
        except DatabaseUnavailable as error:
            raise database_unavailable() from error
        except Exception as error:
            log.exception("request failed")
            raise internal_error() from error

    async def _without_pending(self, request: Request) -> Response:
        """Redirect a user who is already signed in: the callback was reloaded, or loaded twice."""
        if await self._authenticator.session_of_cookie(request) is None:
            raise not_pending(without_cookies="cookie" not in request.headers)
        return _redirect("/")

    async def _count(self, request: Request) -> None:
        try:
            await self._limits.count_sign_in_from(address_of(request))
        except HttpRefusal as refusal:
            raise SignInFailure(
                "Too many sign-ins", refusal.message, refusal.status, refusal.headers
            ) from refusal

    def _provider(self, request: Request) -> Provider:
        provider = self._providers.get(_provider_id(request))
        if provider is None:
            raise not_configured()
        return provider

    async def _finish(self, provider: Provider, pending: Pending, request: Request) -> Response:
        """Redirect to the destination: with a session cookie, or to another frontend with a code."""
        destination = pending.destination
        try:
            user = await self._identify(provider, pending, request.query_params)
        except CodeRefused as error:
            log.warning("authorization code rejected", provider=provider.id, error=str(error))
            if pending.is_retry:
                raise not_confirmed(provider) from error
            # Most likely an earlier request has used the code, and the browser did not wait for its response.
            # The provider recognises the user by now, and redirects back immediately.
            return await self._begin(provider, destination, request, is_retry=True)
        if destination.code_challenge is not None:
            code = await identities.make_code(self._database, user, destination.code_challenge)
            return _redirect(destination.with_code(code))
        before = await self._authenticator.session_of_cookie(request)
        sign_in = await sessions.open_session(
            self._database, user, self._time, request.headers.get("user-agent")
        )
        if before is not None:
            # Its cookie is about to be replaced, after which the user could not end it by signing out.
            await sessions.end(self._database, before)
            self._sessions_ended([before.id])
        response = _redirect(destination.address)
        self._authenticator.set_cookie(response, sign_in)
        return response

    async def _identify(self, provider: Provider, pending: Pending, given: QueryParams) -> User:
        """Return the user whom the provider has authenticated.

        Raises:
            SignInFailure: the sign-in failed; its texts are for the user.
            CodeRefused: the provider rejects the code.
        """
        try:
            await provider.check_issuer(given.get("iss"))
            if "error" in given or not given.get("code"):
                raise rejected_by_provider(
                    provider, given.get("error", ""), given.get("error_description", "")
                )
            found = await provider.identify(pending.secrets, given["code"])
            user = await identities.user_for(self._database, found.issuer, found.subject, found.profile)
        except ServiceUnavailable as error:
            raise provider_unavailable(provider, error) from error
        except (TokenNotTrusted, SubjectRefused) as error:
            log.warning("sign-in rejected", provider=provider.id, error=str(error))
            raise not_verified(provider) from error
        log.info("signed in", provider=provider.id, user=str(user.id))
        return user


def _page(failure: SignInFailure, request: Request, destination: Destination | None) -> Response:
    links = {"Sign in again": f"/auth/{_provider_id(request)}/login"}
    if failure.status == 404:
        links = {}
    if destination is not None and destination.code_challenge is not None:
        # The frontend makes a new challenge for each attempt, so only it can start the sign-in again.
        links = {f"Back to {urlsplit(destination.address).netloc}": destination.address}
    elif destination is not None and links:
        links["Sign in again"] += "?" + urlencode({"next": destination.address})
    note = f"Request {request.state.request_id}"
    page = problem_page(failure.title, failure.text, failure.status, links=links, note=note)
    page.headers.update(failure.headers)
    return page


def _reject_unless_navigation(request: Request) -> None:
    """Reject requests that are not a user's navigation, as these neither start nor complete a sign-in.

    Raises:
        HttpRefusal: a script sent the request, or a browser or program prefetches the page.
    """
    if request.method == "HEAD":
        raise HttpRefusal(405, "BAD_USER_INPUT", "Open the sign-in page with GET.", {"allow": "GET"})
    purposes = [request.headers.get(name, "") for name in ("sec-purpose", "purpose", "x-purpose", "x-moz")]
    if any(purpose.startswith(("prefetch", "prerender", "preview")) for purpose in map(str.lower, purposes)):
        raise HttpRefusal(
            400, "BAD_USER_INPUT", "The sign-in page cannot be prefetched. Navigate to it instead."
        )
    if request.headers.get("sec-fetch-mode", "navigate") != "navigate":
        raise HttpRefusal(
            400, "BAD_USER_INPUT", "The sign-in page cannot be fetched by a script. Navigate to it instead."
        )


def _provider_id(request: Request) -> str:
    return request.url.path.split("/")[2]


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})

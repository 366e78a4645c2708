"""Signing in by username for development, refreshing tokens, and signing out."""

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db.engine import Database
from resolvers import sessions
from resolvers.context import SessionsEnded
from resolvers.errors import Unauthenticated, UserError
from resolvers.sessions import SignIn, TokenReused
from server.auth.authentication import Authenticator
from server.auth.origins import is_of_this_machine
from server.config.settings import Settings
from server.http.bodies import BodyLimits, read_json_object
from server.http.refusals import HttpRefusal, unauthenticated
from server.http.responses import sign_in_response
from server.limits.rate_limits import RateLimits, address_of

log = structlog.stdlib.get_logger(__name__)


class SignInEndpoints:
    """The endpoints under /auth that do not involve a provider."""

    def __init__(
        self,
        database: Database,
        authenticator: Authenticator,
        sessions_ended: SessionsEnded,
        limits: RateLimits,
        settings: Settings,
        *,
        dev_login: bool,
    ) -> None:
        self._database = database
        self._authenticator = authenticator
        self._sessions_ended = sessions_ended
        self._limits = limits
        self._body_limits = BodyLimits.of(settings)
        self._settings = settings
        self._dev_login = dev_login
        self._time = settings.session_time()

    def routes(self) -> list[Route]:
        return [
            Route("/auth/dev/login", self.log_in_by_name, methods=["POST"]),
            Route("/auth/refresh", self.refresh, methods=["POST"]),
            Route("/auth/logout", self.log_out, methods=["POST"]),
        ]

    async def log_in_by_name(self, request: Request) -> Response:
        """Sign in as the named user without a password; create the user if the name is new."""
        if not self._dev_login:
            raise HttpRefusal(
                404, "NOT_FOUND", "Development sign-in is off. MESSENGER_DEV_LOGIN=on enables it."
            )
        if self._settings.dev_login is None and not is_of_this_machine(request):
            raise HttpRefusal(
                403,
                "CROSS_SITE",
                "Development sign-in accepts only requests from the server's own machine to localhost, and"
                " without a proxy. The operator can allow it for everyone with MESSENGER_DEV_LOGIN=on.",
            )
        self._authenticator.reject_cross_site(request)
        await self._limits.count_sign_in_from(address_of(request))
        body = await read_json_object(request, self._body_limits)
        username = body.get("username")
        if not isinstance(username, str):
            raise HttpRefusal(400, "BAD_USER_INPUT", 'Send {"username": "..."}.')
        try:
            sign_in = await sessions.sign_in_by_name(
                self._database, username, self._time, request.headers.get("user-agent")
            )
        except UserError as error:
            raise HttpRefusal(400, error.code.value, error.message) from error
        return self._signed_in(sign_in)

    async def refresh(self, request: Request) -> Response:
        """Replace the request's token with a new one, and extend the session."""
        if "authorization" not in request.headers:
            self._authenticator.reject_cross_site(request)
        # Rejected requests are not counted, so that other sites cannot use up the limit of their visitors.
        token = self._authenticator.token_of(request)
        if token is None:
            raise unauthenticated("The request has no token to refresh.")
        await self._limits.count_sign_in_from(address_of(request))
        try:
            sign_in = await sessions.refresh(self._database, token, self._time)
        except TokenReused as reused:
            log.warning("refreshed token reused", session=str(reused.session_id))
            self._sessions_ended([reused.session_id])
            raise unauthenticated(str(reused)) from reused
        except Unauthenticated as refusal:
            raise unauthenticated(str(refusal)) from refusal
        return self._signed_in(sign_in)

    async def log_out(self, request: Request) -> Response:
        """End the request's session and its streams."""
        identity = await self._authenticator.of(request)
        if identity.session is None:
            raise unauthenticated(identity.refused or "The request has no session to end.")
        await sessions.end(self._database, identity.session)
        self._sessions_ended([identity.session.id])
        response = Response(status_code=204)
        self._authenticator.delete_cookie(response)
        return response

    def _signed_in(self, sign_in: SignIn) -> Response:
        response = sign_in_response(sign_in)
        self._authenticator.set_cookie(response, sign_in)
        return response

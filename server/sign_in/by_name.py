"""Signing in and out over HTTP."""

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db.engine import Database
from resolvers import sessions
from resolvers.context import SessionsEnded
from resolvers.errors import Unauthenticated, UserError
from resolvers.sessions import SignIn, TokenReused
from server.auth.identity import Identities
from server.auth.origins import is_of_this_machine
from server.config.settings import Settings
from server.http.bodies import BodyLimits, read_json_object
from server.http.refusals import HttpRefusal, unauthenticated
from server.http.responses import sign_in_response
from server.limits.rate_limits import RateLimits, address_of

log = structlog.stdlib.get_logger(__name__)


class SignInEndpoints:
    """The endpoints under /auth."""

    def __init__(
        self,
        database: Database,
        identities: Identities,
        sessions_ended: SessionsEnded,
        limits: RateLimits,
        settings: Settings,
        *,
        body_limits: BodyLimits,
        dev_login: bool,
    ) -> None:
        """Offer sign-in by name only with `dev_login`."""
        self._database = database
        self._identities = identities
        self._sessions_ended = sessions_ended
        self._limits = limits
        self._body_limits = body_limits
        self._settings = settings
        self._dev_login = dev_login
        self._time = settings.session_time()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/auth/dev/login", self.log_in_by_name, methods=["POST"]),
            Route("/auth/refresh", self.refresh, methods=["POST"]),
            Route("/auth/logout", self.log_out, methods=["POST"]),
        ]

    async def log_in_by_name(self, request: Request) -> Response:
        """Sign in whoever says to be this user; a name that nobody has makes one."""
        if not self._dev_login:
            raise HttpRefusal(
                404, "NOT_FOUND", "Development sign-in is off: MESSENGER_DEV_LOGIN=on turns it on."
            )
        if self._settings.dev_login is None and not is_of_this_machine(request):
            raise HttpRefusal(
                403,
                "CROSS_SITE",
                "Development sign-in takes requests from this machine to localhost only, without a proxy in"
                " between. The server's operator can open it to everyone with MESSENGER_DEV_LOGIN=on.",
            )
        self._identities.refuse_cross_site(request)
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
        """Give a new token for the request's, and the session its full time again."""
        if "authorization" not in request.headers:
            self._identities.refuse_cross_site(request)
        # Only what is looked up is counted: other sites would use up what their visitors' address needs.
        token = self._identities.token_of(request)
        if token is None:
            raise unauthenticated("The request has no token: there is nothing to refresh.")
        await self._limits.count_sign_in_from(address_of(request))
        try:
            sign_in = await sessions.refresh(self._database, token, self._time)
        except TokenReused as reused:
            log.warning("a token was used again after its refresh", session=str(reused.session_id))
            self._sessions_ended([reused.session_id])
            raise unauthenticated(str(reused)) from reused
        except Unauthenticated as refusal:
            raise unauthenticated(str(refusal)) from refusal
        return self._signed_in(sign_in)

    async def log_out(self, request: Request) -> Response:
        """End the request's session, and its streams."""
        identity = await self._identities.of(request)
        if identity.session is None:
            raise unauthenticated(identity.refused or "The request has no token: there is nothing to end.")
        await sessions.end(self._database, identity.session)
        self._sessions_ended([identity.session.id])
        response = Response(status_code=204)
        self._identities.delete_cookie(response)
        return response

    def _signed_in(self, sign_in: SignIn) -> Response:
        response = sign_in_response(sign_in)
        self._identities.set_cookie(response, sign_in)
        return response

"""Building the ASGI application from its parts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from db.engine import Database
from execution.api import Api
from execution.limits import DocumentLimits
from realtime.broadcaster import Broadcaster
from realtime.cursor_form import CursorForm
from resolvers.rules import Rules
from server.auth.authentication import VIEWER_HEADER, Authenticator
from server.auth.token_issuer import TokenIssuer
from server.config.manifests import read_manifest
from server.config.settings import Settings
from server.endpoints.graphiql import graphiql
from server.endpoints.graphql import GraphQLEndpoint
from server.endpoints.health import OperatorEndpoints
from server.endpoints.reserved_requests import TOKEN_HEADER
from server.endpoints.single_connection import SingleConnections
from server.endpoints.web_client import web_client
from server.graphql.execution import Execution
from server.graphql.trusted_documents import TrustedDocuments
from server.http.cors import with_cors
from server.http.heads import HeadLimit
from server.http.masked_faults import MaskedFaults
from server.http.request_log import RequestLog
from server.limits.budgets import Budgets
from server.limits.rate_limits import AddressLimit, RateLimits
from server.process.routing import GraphQLFirst, router
from server.sign_in.by_name import SignInEndpoints
from server.sign_in.by_provider import ProviderSignIn
from server.sign_in.github import GitHub
from server.sign_in.oidc import OpenIdProvider
from server.sign_in.provider import Provider
from server.streams.open_streams import OpenStreams

log = structlog.stdlib.get_logger(__name__)

# The request headers that the API reads.
_HEADERS = ("authorization", "content-type", "last-event-id", TOKEN_HEADER, VIEWER_HEADER)


@dataclass(frozen=True, slots=True)
class Application:
    """The ASGI application, with the parts that run in the background; the owner calls `aclose`."""

    asgi: ASGIApp
    streams: OpenStreams
    single_connections: SingleConnections
    cursor_form: CursorForm
    key_holders: Sequence[TokenIssuer | OpenIdProvider]
    """The objects that fetch keys in the background."""

    async def aclose(self) -> None:
        """Cancel what runs in the background."""
        for holder in self.key_holders:
            await holder.aclose()


@dataclass(frozen=True, slots=True)
class _Shared:
    """What several endpoints need."""

    settings: Settings
    public_url: str
    database: Database
    limits: RateLimits
    budgets: Budgets
    address_limit: AddressLimit
    streams: OpenStreams
    authenticator: Authenticator
    cursor_form: CursorForm

    def sessions_ended(self, ids: Collection[UUID]) -> None:
        """Reject the tokens of these sessions from now on, and end their streams."""
        self.authenticator.forget(ids)
        self.streams.end_sessions(ids)


def build_application(
    settings: Settings, public_url: str, database: Database, broadcaster: Broadcaster, *, dev_login: bool
) -> Application:
    """Build the application, which browsers reach at `public_url`; `dev_login` enables sign-in by name."""
    limits = RateLimits(settings, database)
    budgets = Budgets(settings)
    address_limit = AddressLimit(limits, budgets, settings.trusted_proxies)
    streams = OpenStreams(settings)
    token_issuer = _token_issuer(settings)
    providers = _providers(settings, public_url)
    authenticator = Authenticator(database, public_url, settings, limits, token_issuer)
    cursor_form = CursorForm()
    shared = _Shared(
        settings,
        public_url,
        database,
        limits,
        budgets,
        address_limit,
        streams,
        authenticator,
        cursor_form,
    )
    page, page_routes = _pages(settings)
    graphql, single_connections = _graphql(shared, broadcaster, page)
    routes = [
        *page_routes,
        *_sign_in_routes(shared, providers, dev_login=dev_login),
        *OperatorEndpoints(database, streams).routes(),
    ]
    app = _with_middleware(GraphQLFirst(graphql, router(routes, address_limit)), settings)
    key_holders = [
        each for each in (token_issuer, *providers) if isinstance(each, TokenIssuer | OpenIdProvider)
    ]
    return Application(app, streams, single_connections, cursor_form, key_holders)


def _graphql(
    shared: _Shared, broadcaster: Broadcaster, page: Response | None
) -> tuple[GraphQLEndpoint, SingleConnections]:
    execution = Execution(
        _api(shared.settings),
        shared.database,
        broadcaster,
        _trusted_documents(shared.settings),
        shared.sessions_ended,
        shared.limits,
        Rules(shared.settings.edit_seconds, shared.settings.read_marks_max_participants),
        shared.cursor_form,
    )
    single_connections = SingleConnections(
        execution, shared.authenticator, shared.streams, shared.budgets, shared.settings
    )
    endpoint = GraphQLEndpoint(
        execution=execution,
        authenticator=shared.authenticator,
        streams=shared.streams,
        single_connections=single_connections,
        address_limit=shared.address_limit,
        budgets=shared.budgets,
        settings=shared.settings,
        graphiql=page,
    )
    return endpoint, single_connections


def _sign_in_routes(shared: _Shared, providers: Sequence[Provider], *, dev_login: bool) -> list[Route]:
    without_provider = SignInEndpoints(
        shared.database,
        shared.authenticator,
        shared.sessions_ended,
        shared.limits,
        shared.settings,
        dev_login=dev_login,
    )
    with_provider = ProviderSignIn(
        shared.database,
        shared.authenticator,
        providers,
        sessions_ended=shared.sessions_ended,
        limits=shared.limits,
        settings=shared.settings,
        public_url=shared.public_url,
        dev_login=dev_login,
    )
    return [*without_provider.routes(), *with_provider.routes()]


def _with_middleware(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Put the middleware around everything that responds; the last to be added runs first."""
    app = HeadLimit(MaskedFaults(app))
    if settings.allowed_origins:
        # Around the other middleware, so that frontends on other origins can read errors too.
        app = with_cors(app, settings.allowed_origins, [*_HEADERS, *settings.allowed_headers])
    return RequestLog(app)


def _api(settings: Settings) -> Api:
    limits = DocumentLimits(
        tokens=settings.max_query_tokens,
        depth=settings.max_query_depth,
        fields=settings.max_query_fields,
        aliases=settings.max_query_aliases,
        directives=settings.max_query_directives,
        answer_fields=settings.max_answer_fields,
        event_fields=settings.max_event_fields,
        answer_bytes=settings.max_answer_bytes,
    )
    return Api(limits, introspection=settings.introspection, plans=settings.plans)


def _trusted_documents(settings: Settings) -> TrustedDocuments:
    path = settings.trusted_documents
    return TrustedDocuments(None if path is None else read_manifest(path))


def _token_issuer(settings: Settings) -> TokenIssuer | None:
    if settings.jwt_issuer is None or settings.jwt_audience is None or settings.jwt_jwks_url is None:
        return None
    return TokenIssuer(settings.jwt_issuer, settings.jwt_audience, settings.jwt_jwks_url)


def _providers(settings: Settings, public_url: str) -> list[Provider]:
    providers: list[Provider] = []
    if settings.github_client_id is not None and settings.github_client_secret is not None:
        providers.append(
            GitHub(
                settings.github_url,
                settings.github_client_id,
                settings.github_client_secret.get_secret_value(),
                f"{public_url}/auth/github/callback",
            )
        )
    if settings.oidc_issuer is not None and settings.oidc_client_id is not None:
        secret = settings.oidc_client_secret
        providers.append(
            OpenIdProvider(
                settings.oidc_issuer,
                settings.oidc_name or urlsplit(settings.oidc_issuer).hostname or settings.oidc_issuer,
                settings.oidc_client_id,
                secret.get_secret_value() if secret else None,
                f"{public_url}/auth/oidc/callback",
            )
        )
    return providers


def _pages(settings: Settings) -> tuple[Response | None, list[BaseRoute]]:
    """Return the GraphiQL page, if it is shown, and the routes of the pages that have been built."""
    page, graphiql_routes = _graphiql(settings)
    return page, [*_web_client(graphiql=page is not None), *graphiql_routes]


def _graphiql(settings: Settings) -> tuple[Response | None, Sequence[BaseRoute]]:
    if not settings.graphiql:
        return None, []
    try:
        return graphiql()
    except FileNotFoundError as missing:
        log.warning("GraphiQL not built", missing=missing.filename, hint="run make setup")
        return None, []


def _web_client(*, graphiql: bool) -> Sequence[BaseRoute]:
    try:
        return web_client(graphiql=graphiql)
    except FileNotFoundError as missing:
        log.warning("web client not built", missing=missing.filename, hint="run make setup")
        return [Route("/", _redirect_to_graphql)]


async def _redirect_to_graphql(request: Request) -> Response:
    return RedirectResponse("/graphql")

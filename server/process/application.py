"""Building the ASGI application from its parts."""

from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from db.engine import Database, DatabaseUnavailable
from execution.api import Api
from execution.limits import DocumentLimits
from realtime.broadcaster import Broadcaster
from server.auth.identity import VIEWER_HEADER, Identities
from server.auth.token_issuer import TokenIssuer
from server.config.manifests import read_manifest
from server.config.settings import Settings
from server.endpoints.graphiql import graphiql
from server.endpoints.graphql import GraphQLEndpoint
from server.endpoints.health import OperatorEndpoints
from server.endpoints.single_connection import TOKEN_HEADER, SingleConnections
from server.endpoints.web_client import web_client
from server.graphql.execution import Execution
from server.graphql.request import HTML, JSON
from server.graphql.trusted_documents import TrustedDocuments
from server.http.accept import accept_of, best_match
from server.http.bodies import BodyLimits
from server.http.cors import with_cors
from server.http.heads import HeadLimit
from server.http.masked_faults import MaskedFaults
from server.http.problem_page import problem_page
from server.http.refusals import HttpRefusal, TooManyFromAddress, database_unavailable
from server.http.responses import GRAPHQL_PATHS, refusal_response
from server.limits.budgets import Budgets
from server.limits.rate_limits import AddressLimit, LimitedRequests, RateLimits
from server.observability.request_log import RequestLog
from server.sign_in.by_name import SignInEndpoints
from server.sign_in.by_provider import ProviderSignIn
from server.sign_in.github import GitHub
from server.sign_in.oidc import OpenIdProvider
from server.sign_in.provider import Provider
from server.sign_in.seal import Seal, secret_key
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
    key_holders: Sequence[TokenIssuer | OpenIdProvider]
    """The objects that fetch keys in the background."""

    async def aclose(self) -> None:
        """Cancel what runs in the background."""
        for holder in self.key_holders:
            await holder.aclose()


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
    identities = Identities(database, public_url, settings, limits, token_issuer)

    def sessions_ended(ids: Collection[UUID]) -> None:
        identities.forget(ids)
        streams.end_sessions(ids)

    page, page_routes = _graphiql(settings)
    execution = Execution(
        _api(settings),
        database,
        broadcaster,
        _trusted_documents(settings),
        sessions_ended,
        limits.count_message,
    )
    body_limits = BodyLimits(settings.max_body_bytes, settings.read_timeout_seconds)
    single_connections = SingleConnections(
        execution, identities, streams, budgets, settings, body_limits=body_limits
    )
    graphql = GraphQLEndpoint(
        execution=execution,
        identities=identities,
        streams=streams,
        single_connections=single_connections,
        address_limit=address_limit,
        budgets=budgets,
        body_limits=body_limits,
        settings=settings,
        graphiql=page,
    )
    router = Router(
        [
            *_web_client(graphiql=page is not None),
            *SignInEndpoints(
                database,
                identities,
                sessions_ended,
                limits,
                settings,
                body_limits=body_limits,
                dev_login=dev_login,
            ).routes(),
            *ProviderSignIn(
                database,
                identities,
                providers,
                sessions_ended=sessions_ended,
                limits=limits,
                body_limits=body_limits,
                seal=Seal(secret_key(settings), "sign-in under way"),
                settings=settings,
                public_url=public_url,
                dev_login=dev_login,
            ).routes(),
            *OperatorEndpoints(database, streams).routes(),
            *page_routes,
        ],
        redirect_slashes=False,
    )
    others = ExceptionMiddleware(
        LimitedRequests(router, address_limit),
        handlers={
            HttpRefusal: partial(_refused, address_limit),
            HTTPException: _not_routed,
            DatabaseUnavailable: _unavailable,
        },
    )
    app: ASGIApp = HeadLimit(MaskedFaults(_GraphQLFirst(graphql, others)))
    if settings.allowed_origins:
        # Outside of everything that responds, so that frontends on other origins can read errors too.
        app = with_cors(app, settings.allowed_origins, [*_HEADERS, *settings.allowed_headers])
    key_holders = [
        each for each in (token_issuer, *providers) if isinstance(each, TokenIssuer | OpenIdProvider)
    ]
    return Application(RequestLog(app), streams, single_connections, key_holders)


class _GraphQLFirst:
    """Routes requests for GraphQL, the vast majority, without going through the router."""

    def __init__(self, graphql: ASGIApp, others: ASGIApp) -> None:
        self._graphql = graphql
        self._others = others

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        app = self._graphql if scope["path"] in GRAPHQL_PATHS else self._others
        return app(scope, receive, send)


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


_NOT_FOUND_PAGE = problem_page(
    "Page not found",
    "There is no page at this address. It may be mistyped, or the page may have moved.",
    404,
    links={"Go to the start page": "/"},
)


async def _refused(address_limit: AddressLimit, request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpRefusal)
    if isinstance(error, TooManyFromAddress):
        address_limit.suspect_proxy(request)
    return refusal_response(error, request.url.path)


async def _unavailable(request: Request, error: Exception) -> Response:
    return refusal_response(database_unavailable(), request.url.path)


async def _not_routed(request: Request, error: Exception) -> Response:
    """Answer a request that the router rejected: with a page if a browser prefers HTML, or else with JSON."""
    assert isinstance(error, HTTPException)
    if (
        error.status_code == 404
        and request.method in {"GET", "HEAD"}
        and best_match(accept_of(request), [JSON, HTML]) == HTML
    ):
        return _NOT_FOUND_PAGE
    code = "NOT_FOUND" if error.status_code == 404 else "BAD_USER_INPUT"
    refusal = HttpRefusal(error.status_code, code, f"{error.detail}.", error.headers)
    return refusal_response(refusal, request.url.path)

"""Routing requests to their endpoints, and the answers to those that an endpoint or the router rejects."""

from collections.abc import Awaitable, Sequence
from functools import partial

from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from db.engine import DatabaseUnavailable
from server.graphql.request import HTML, JSON
from server.http.accept import accept_of, best_match
from server.http.problem_page import problem_page
from server.http.refusals import HttpRefusal, TooManyFromAddress, database_unavailable
from server.http.responses import GRAPHQL_PATHS, refusal_response
from server.limits.rate_limits import AddressLimit, LimitedRequests


class GraphQLFirst:
    """Routes requests for GraphQL, the vast majority, without going through the router."""

    def __init__(self, graphql: ASGIApp, others: ASGIApp) -> None:
        self._graphql = graphql
        self._others = others

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        app = self._graphql if scope["path"] in GRAPHQL_PATHS else self._others
        return app(scope, receive, send)


def router(routes: Sequence[BaseRoute], address_limit: AddressLimit) -> ASGIApp:
    """Return the application behind these routes, which counts requests by address and answers exceptions."""
    return ExceptionMiddleware(
        LimitedRequests(Router(routes, redirect_slashes=False), address_limit),
        handlers={
            HttpRefusal: partial(_refused, address_limit),
            HTTPException: _not_routed,
            DatabaseUnavailable: _unavailable,
        },
    )


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

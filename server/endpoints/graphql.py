"""GraphQL over HTTP, and over SSE in graphql-sse's distinct connections mode.

https://graphql.github.io/graphql-over-http/draft/ and
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

from collections.abc import Sequence
from functools import cache

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from db.engine import DatabaseUnavailable
from execution.answers import Answer, encode_json, invalid
from execution.budgets import Budget
from resolvers.errors import RateLimited
from server.auth.authentication import Authenticator, Identity, cookie_renewal
from server.config.settings import Settings
from server.endpoints.single_connection import SingleConnections
from server.graphql import multipart, sse
from server.graphql.execution import Execution
from server.graphql.multipart import Multipart
from server.graphql.request import (
    HTML,
    JSON,
    GraphQLRequest,
    NothingToExecute,
    negotiate,
    read_graphql_request,
)
from server.graphql.sse import Sse
from server.http.accept import accept_of
from server.http.admission import Admission
from server.http.bodies import BodyLimits
from server.http.problem_page import problem_page
from server.http.refusals import HttpRefusal, TooManyFromAddress, database_unavailable, rate_limited
from server.http.responses import EncodedResponse, refusal_response
from server.limits.budgets import Budgets
from server.limits.rate_limits import AddressLimit, address_of
from server.streams.distinct import DistinctStream
from server.streams.open_streams import OpenStreams
from server.streams.response import ResponseStream, StreamFormat


class GraphQLEndpoint:
    """The ASGI application behind /graphql."""

    def __init__(
        self,
        *,
        execution: Execution,
        authenticator: Authenticator,
        streams: OpenStreams,
        single_connections: SingleConnections,
        address_limit: AddressLimit,
        budgets: Budgets,
        settings: Settings,
        graphiql: Response | None,
    ) -> None:
        """Execute requests; show browsers the GraphiQL page if it is given."""
        self._execution = execution
        self._authenticator = authenticator
        self._streams = streams
        self._single_connections = single_connections
        self._address_limit = address_limit
        self._budgets = budgets
        self._body_limits = BodyLimits.of(settings)
        self._settings = settings
        self._graphiql = graphiql
        self._admission = Admission()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._admission.wait()
        try:
            response = await self._respond(scope, receive, send)
            if isinstance(response, DistinctStream):
                await response.serve(self._streams)
                return
        except HttpRefusal as error:
            if isinstance(error, TooManyFromAddress):
                self._address_limit.suspect_proxy(HTTPConnection(scope))
            response = refusal_response(error, scope["path"])
        except RateLimited as error:
            response = refusal_response(rate_limited(error), scope["path"])
        except DatabaseUnavailable:
            response = refusal_response(database_unavailable(), scope["path"])
        if response is not None:
            if renewal := cookie_renewal(scope):
                response.raw_headers.extend(renewal)
            await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> Response | DistinctStream | None:
        """Return the response or the stream to serve; None if a reserved stream has already answered."""
        request = Request(scope, receive)
        if self._address_limit.is_on:
            await self._address_limit.count(request)
        if self._single_connections.is_for(request):
            return await self._single_connections.respond(request, send)
        page = self._page_for(request)
        media_type = negotiate(request, html=page is not None)
        if media_type == HTML:
            return page
        if media_type == sse.MEDIA_TYPE and request.headers.get("last-event-id") == sse.OVER:
            return Response(status_code=204)
        identity = await self._authenticator.of(request)
        try:
            graphql_request = await read_graphql_request(
                request,
                self._execution.api,
                self._execution.trusted,
                self._body_limits,
                self._budget_of(request, identity),
            )
        except NothingToExecute as error:
            answer = invalid([error.error])
            return _answer(answer, _without_events(media_type), 200 if media_type == JSON else 400)
        if graphql_request.is_subscription and not graphql_request.errors:
            stream_format = _stream_format(request, media_type)
            return self._stream(request, send, identity, graphql_request, stream_format)
        return await self._answer(identity, graphql_request, media_type)

    def _budget_of(self, request: Request, identity: Identity) -> Budget:
        if identity.user is not None:
            return self._budgets.of(identity.user.id, None)
        return self._budgets.of(None, address_of(request))

    def _page_for(self, request: Request) -> Response | None:
        """Return the page for a browser that prefers HTML; None if the request gets JSON regardless."""
        if request.scope["method"] not in {"GET", "HEAD"}:
            return None
        if self._graphiql is None and not request.query_params:
            return _NO_PAGE
        return self._graphiql

    async def _answer(self, identity: Identity, graphql_request: GraphQLRequest, media_type: str) -> Response:
        """Answer with JSON, or with a single event if the client accepts only events."""
        if graphql_request.errors:
            answer = invalid(graphql_request.errors)
        else:
            answer = await self._execution.answer(graphql_request, identity)
        if media_type == sse.MEDIA_TYPE:
            return Response(Sse().next(answer) + Sse.complete, headers=Sse.headers)
        return _answer(answer, media_type, 200 if media_type == JSON or "data" in answer else 400)

    def _stream(
        self,
        request: Request,
        send: Send,
        identity: Identity,
        graphql_request: GraphQLRequest,
        stream_format: StreamFormat,
    ) -> DistinctStream | Response:
        if request.method == "HEAD":
            # The headers of GET's response, which is a stream and has no length.
            head = Response(headers=stream_format.headers)
            del head.headers["content-length"]
            return head
        response = ResponseStream(
            request.scope,
            send,
            stream_format=stream_format,
            write_timeout_seconds=self._settings.write_timeout_seconds,
            more_headers=cookie_renewal(request.scope),
        )
        return DistinctStream(
            self._execution,
            identity,
            graphql_request.operation,
            response,
            budget=graphql_request.budget,
            streams=self._streams,
            address=address_of(request),
            last_event_id=request.headers.get("last-event-id"),
        )


_NO_PAGE = problem_page(
    "This is a GraphQL API",
    "The request contains no query. GraphQL clients send one by POST, or by GET in the parameter `query`."
    " GraphiQL is not available on this server.",
    400,
    links={},
)


def _stream_format(request: Request, media_type: str) -> StreamFormat:
    if multipart.is_accepted(accept_of(request)):
        return Multipart()
    if media_type == sse.MEDIA_TYPE:
        return Sse()
    raise HttpRefusal(
        406, "BAD_USER_INPUT", f"A subscription is answered with a stream. Send `Accept: {sse.MEDIA_TYPE}`."
    )


def _without_events(media_type: str) -> str:
    return JSON if media_type == sse.MEDIA_TYPE else media_type


def _answer(answer: Answer, media_type: str, status: int) -> Response:
    return EncodedResponse(encode_json(answer), status, _headers(media_type))


@cache
def _headers(media_type: str) -> Sequence[tuple[bytes, bytes]]:
    return [(b"content-type", f"{media_type}; charset=utf-8".encode()), (b"cache-control", b"no-store")]

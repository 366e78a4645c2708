"""GraphQL over HTTP, and over SSE in graphql-sse's distinct connections mode.

https://graphql.github.io/graphql-over-http/draft/ and
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from db.engine import Database, DatabaseUnavailable
from graphql import GraphQLSyntaxError, OperationDefinitionNode
from realtime.broadcaster import Broadcaster
from resolvers.context import Context
from schema.answers import Answer, codes, invalid, refusal
from schema.api import Api, Operation
from schema.documents import OperationUnknown, is_mutation, is_subscription, root_fields
from schema.limits import DocumentTooComplex
from server.accept import best_match
from server.bodies import parse_json_object, read_json_object
from server.event_stream import COMPLETE_EVENT, OVER, STREAM_HEADERS, SlowReader, SseStream, next_event
from server.identity import Identities, Identity
from server.metrics import OPERATIONS
from server.refusals import HttpRefusal, database_unavailable
from server.responses import encode_json
from server.settings import Settings
from server.streams import EndReason, OpenStream, OpenStreams

log = structlog.stdlib.get_logger(__name__)

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
HTML = "text/html"

_UNAVAILABLE = HttpRefusal(
    503, "UNAVAILABLE", "The server cannot answer for the moment: connect again.", {"retry-after": "1"}
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a GraphQL request asks for."""

    query: str
    operation_name: str | None
    variables: Mapping[str, Any]


class GraphQLEndpoint:
    """The ASGI application behind /graphql."""

    def __init__(
        self,
        *,
        api: Api,
        database: Database,
        broadcaster: Broadcaster,
        identities: Identities,
        streams: OpenStreams,
        settings: Settings,
        graphiql: Response | None,
    ) -> None:
        """Answer with the API; show a browser the GraphiQL page, if there is one."""
        self._api = api
        self._database = database
        self._broadcaster = broadcaster
        self._identities = identities
        self._streams = streams
        self._settings = settings
        self._graphiql = graphiql

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request, send)
        except HttpRefusal as error:
            response = _refused(error)
        except DatabaseUnavailable:
            response = _refused(database_unavailable())
        if response is not None:
            await response(scope, receive, send)

    async def _respond(self, request: Request, send: Send) -> Response | None:
        """Return the response, or None when a stream has been it."""
        media_type = _negotiate(request)
        if media_type == HTML:
            if self._graphiql is None:
                raise HttpRefusal(404, "NOT_FOUND", "There is no GraphiQL page here.")
            return self._graphiql
        if media_type == EVENT_STREAM and request.headers.get("last-event-id") == OVER:
            return Response(status_code=204)
        parameters = await self._parameters(request)
        identity = await self._identities.of(request)
        try:
            document = self._api.prepare(parameters.query)
            operation = document.operation(parameters.operation_name)
        except GraphQLSyntaxError as error:
            return _answer(invalid([error]), _plain(media_type), 200 if media_type == JSON else 400)
        except DocumentTooComplex as error:
            raise HttpRefusal(400, "TOO_COMPLEX", str(error)) from error
        except OperationUnknown as error:
            raise HttpRefusal(400, "BAD_USER_INPUT", str(error)) from error
        if request.method == "GET" and is_mutation(operation):
            raise HttpRefusal(
                405, "BAD_USER_INPUT", "A mutation changes something: send it by POST.", {"allow": "POST"}
            )
        if is_subscription(operation) and not document.errors:
            if media_type != EVENT_STREAM:
                raise HttpRefusal(
                    406, "BAD_USER_INPUT", f"A subscription is a stream: send `Accept: {EVENT_STREAM}`."
                )
            await self._stream(request, send, identity, operation, parameters)
            return None
        if document.errors:
            answer = invalid(document.errors)
        else:
            answer = await self._execute(request, identity, operation, parameters)
        if media_type == EVENT_STREAM:
            return Response(next_event(answer) + COMPLETE_EVENT, headers=STREAM_HEADERS)
        return _answer(answer, media_type, 200 if media_type == JSON or "data" in answer else 400)

    async def _parameters(self, request: Request) -> Parameters:
        if request.method == "POST":
            given = await read_json_object(request, self._settings.max_body_bytes)
        else:
            given: dict[str, Any] = dict(request.query_params)
            for name in ("variables", "extensions"):
                if given.get(name):
                    given[name] = parse_json_object(given[name], f"`{name}`")
        return Parameters(
            _checked(given, "query", str) or _missing_query(),
            _checked(given, "operationName", str),
            _checked(given, "variables", dict) or {},
        )

    def _context(self, request: Request, identity: Identity, stream: SseStream | None = None) -> Context:
        return Context(
            self._database,
            self._broadcaster,
            viewer=identity.session.user if identity.session else None,
            refused=identity.refused,
            stream=stream,
            last_event_id=request.headers.get("last-event-id") or None,
        )

    async def _execute(
        self,
        request: Request,
        identity: Identity,
        operation: OperationDefinitionNode,
        parameters: Parameters,
    ) -> Answer:
        async with self._context(request, identity) as context:
            answer = await self._api.execute(_operation(request, parameters), context)
        _count(operation, answer)
        return answer

    async def _stream(
        self,
        request: Request,
        send: Send,
        identity: Identity,
        operation: OperationDefinitionNode,
        parameters: Parameters,
    ) -> None:
        if self._streams.closing:
            raise _UNAVAILABLE
        events = SseStream(send, self._settings.write_timeout_seconds)

        async def send_events(stream: OpenStream) -> None:
            async with self._context(request, identity, events) as context:
                answers = self._api.stream(_operation(request, parameters), context)
                async with aclosing(answers):
                    async for answer in answers:
                        _count(operation, answer)
                        # While the stream waits, it holds no connection to the database.
                        await context.refresh()
                        if "UNAVAILABLE" in codes(answer):
                            # The event is still to come: the client returns for it.
                            stream.end_reason = EndReason.UNAVAILABLE
                            return
                        await events.next(answer)
            await events.complete()

        with self._streams.opened(identity.session.id if identity.session else None) as stream:
            async with asyncio.TaskGroup() as tasks:
                keeping_alive = tasks.create_task(
                    events.keep_alive(request.receive, stream, self._settings.heartbeat_seconds)
                )
                try:
                    with stream.interruptible():
                        await send_events(stream)
                    if stream.end_reason is EndReason.SESSION_ENDED:
                        await events.next(
                            refusal("Your session has ended: sign in again.", "UNAUTHENTICATED")
                        )
                        await events.complete()
                    if events.begun and stream.end_reason is not EndReason.CLIENT_GONE:
                        await events.finish()
                except SlowReader:
                    stream.end_reason = EndReason.SLOW_READER
                keeping_alive.cancel()
            if not events.begun and stream.end_reason is not EndReason.CLIENT_GONE:
                raise _UNAVAILABLE


def _negotiate(request: Request) -> str:
    if request.method not in {"GET", "POST"}:
        raise HttpRefusal(
            405, "BAD_USER_INPUT", "GraphQL is answered to GET and POST.", {"allow": "GET, POST"}
        )
    offers = [JSON, GRAPHQL_JSON, EVENT_STREAM, *([HTML] if request.method == "GET" else [])]
    media_type = best_match(request.headers.get("accept"), offers)
    if media_type is None:
        raise HttpRefusal(406, "BAD_USER_INPUT", f"The answer can be {', '.join(offers)}.")
    return media_type


def _checked(given: Mapping[str, Any], name: str, kind: type) -> Any:
    value = given.get(name)
    if value is None or (value == "" and name != "query"):
        return None
    if not isinstance(value, kind):
        shape = "a string" if kind is str else "an object"
        raise HttpRefusal(400, "BAD_USER_INPUT", f"`{name}` must be {shape}.")
    return value


def _missing_query() -> str:
    raise HttpRefusal(400, "BAD_USER_INPUT", "`query` is missing: it is the document to execute.")


def _plain(media_type: str) -> str:
    return JSON if media_type == EVENT_STREAM else media_type


def _operation(request: Request, parameters: Parameters) -> Operation:
    return Operation(
        parameters.query, parameters.operation_name, parameters.variables, request.state.request_id
    )


def _refused(error: HttpRefusal) -> Response:
    return _answer(refusal(error.message, error.code), JSON, error.status, error.headers)


def _answer(
    answer: Answer, media_type: str, status: int, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        encode_json(answer),
        status,
        {"content-type": f"{media_type}; charset=utf-8", "cache-control": "no-store", **(headers or {})},
    )


def _count(operation: OperationDefinitionNode, answer: Answer) -> None:
    found = codes(answer)
    outcome = "failed" if "INTERNAL" in found else "refused" if found else "ok"
    for field in root_fields(operation):
        OPERATIONS.labels(field, outcome).inc()

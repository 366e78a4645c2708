"""Reading GraphQL requests, and negotiating the media type of the response.

https://graphql.github.io/graphql-over-http/draft/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError
from starlette.requests import Request

from execution.api import Api, Operation
from execution.budgets import Budget
from execution.documents import DocumentMalformed, OperationUnknown
from execution.limits import DocumentTooComplex
from server.graphql import sse
from server.graphql.trusted_documents import PersistedQueriesUnsupported, TrustedDocuments
from server.http.accept import accept_of, best_match
from server.http.bodies import BodyLimits, parse_json_object, read_json_object
from server.http.refusals import HttpRefusal

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
HTML = "text/html"
_OFFERS = (JSON, GRAPHQL_JSON, sse.MEDIA_TYPE)
_OFFERS_WITH_HTML = (*_OFFERS, HTML)


class NothingToExecute(Exception):
    """The document cannot be parsed, is not available, or does not determine the operation to execute."""

    def __init__(self, error: GraphQLError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """An operation, which may be invalid, with an `operation_id` in single connection mode.

    Its cost is charged to `budget`. With `tells_cost`, the client asked for the cost in the response.
    """

    operation: Operation
    budget: Budget
    operation_id: str | None
    tells_cost: bool

    @property
    def errors(self) -> tuple[GraphQLError, ...]:
        """The operation's validation errors."""
        return self.operation.errors

    @property
    def is_subscription(self) -> bool:
        return self.operation.prepared.is_subscription


def negotiate(request: Request, *, html: bool) -> str:
    """Return the media type of the response; HTML is offered with `html`.

    Raises:
        HttpRefusal: 405, the method is not GET, HEAD or POST; 406, no offered media type is accepted.
    """
    if request.scope["method"] not in {"GET", "HEAD", "POST"}:
        allowed = {"allow": "GET, HEAD, POST, PUT, DELETE"}
        raise HttpRefusal(405, "BAD_USER_INPUT", "Send GraphQL requests with GET or POST.", allowed)
    offers = _OFFERS_WITH_HTML if html else _OFFERS
    media_type = best_match(accept_of(request), offers)
    if media_type is None:
        raise HttpRefusal(406, "BAD_USER_INPUT", f"Accept one of {', '.join(offers)}.")
    return media_type


async def read_graphql_request(
    request: Request, api: Api, trusted: TrustedDocuments, body_limits: BodyLimits, budget: Budget
) -> GraphQLRequest:
    """Read the request and prepare its document.

    Raises:
        HttpRefusal: it is malformed, not trusted, too complex, or a mutation sent with GET.
        RateLimited: the request is long or its document is new, and the budget is used up.
        NothingToExecute: the document cannot be parsed, or does not determine the operation.
    """
    given = await _given(request, body_limits, budget)
    operation_name: str | None = _checked(given, "operationName", str)
    variables: dict[str, Any] = _checked(given, "variables", dict) or {}
    extensions: dict[str, Any] = _checked(given, "extensions", dict) or {}
    try:
        query = trusted.document(
            _checked(given, "query", str), _checked(given, "documentId", str), extensions
        )
        operation = await api.operation(
            query, operation_name, variables, request.scope["state"]["request_id"], budget
        )
        api.check_cost(operation)
    except PersistedQueriesUnsupported as error:
        coded = GraphQLError(error.message, extensions={"code": error.code})
        raise NothingToExecute(coded) from error
    except DocumentMalformed as malformed:
        raise NothingToExecute(malformed.error) from malformed
    except DocumentTooComplex as error:
        raise HttpRefusal(400, "TOO_COMPLEX", str(error)) from error
    except OperationUnknown as error:
        raise NothingToExecute(GraphQLError(str(error))) from error
    if request.method != "POST" and operation.prepared.is_mutation:
        raise HttpRefusal(405, "BAD_USER_INPUT", "Send mutations with POST.", {"allow": "POST"})
    operation_id: object = extensions.get("operationId")
    return GraphQLRequest(
        operation,
        budget,
        None if operation_id is None else str(operation_id),
        extensions.get("cost") is True,
    )


async def _given(request: Request, body_limits: BodyLimits, budget: Budget) -> Mapping[str, Any]:
    if request.method == "POST":
        return await read_json_object(request, body_limits, budget)
    given: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if given.get(name):
            given[name] = parse_json_object(given[name], f"`{name}`", budget)
    return given


def _checked(given: Mapping[str, Any], name: str, kind: type) -> Any:
    value = given.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, kind):
        shape = "a string" if kind is str else "an object"
        raise HttpRefusal(400, "BAD_USER_INPUT", f"`{name}` must be {shape}.")
    return value

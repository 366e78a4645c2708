"""What the requests of single connection mode ask for: the reserved stream, its operation, and the format."""

from hashlib import sha256

from starlette.requests import Request

from resolvers.content import is_storable
from server.graphql import sse
from server.http.accept import accept_of, best_match
from server.http.headers import header
from server.http.refusals import HttpRefusal

TOKEN_HEADER = "x-graphql-event-stream-token"
_TOKEN_HEADER = TOKEN_HEADER.encode()
_MAX_OPERATION_ID_CHARS = 200


def token_of(request: Request) -> str | None:
    """Return the token of the reserved stream; None if the request has none."""
    given = header(request, _TOKEN_HEADER)
    # Parsing the query is skipped for the usual request, which has none.
    return given or (request.query_params.get("token") if request.scope["query_string"] else None)


def token_hash_of(token: str) -> str:
    """Return what is stored of a token."""
    return sha256(token.encode()).hexdigest()


def wants_stream(request: Request) -> bool:
    """Return whether the client accepts a stream; False if it prefers JSON.

    Raises:
        HttpRefusal: it accepts neither.
    """
    media_type = best_match(
        accept_of(request),
        ["application/json", "application/graphql-response+json", sse.MEDIA_TYPE],
    )
    if media_type is None:
        raise HttpRefusal(406, "BAD_USER_INPUT", f"Accept {sse.MEDIA_TYPE} or application/json.")
    return media_type == sse.MEDIA_TYPE


def checked_operation_id(operation_id: str | None) -> str:
    """Return the ID that the client has given its operation.

    Raises:
        HttpRefusal: it is missing, too long, or cannot be stored.
    """
    if not operation_id:
        message = (
            "The operation's ID is missing. Send it as `extensions.operationId`, or with DELETE as the"
            " parameter `operationId`."
        )
        raise HttpRefusal(400, "BAD_USER_INPUT", message)
    if len(operation_id) > _MAX_OPERATION_ID_CHARS or not is_storable(operation_id):
        message = f"An operation's ID has at most {_MAX_OPERATION_ID_CHARS} characters, none of them NUL."
        raise HttpRefusal(400, "BAD_USER_INPUT", message)
    return operation_id

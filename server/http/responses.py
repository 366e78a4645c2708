"""JSON responses."""

from collections.abc import Iterable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from execution.answers import encode_json
from resolvers.sessions import SignIn
from schema.date_time import format_date_time
from schema.users import User
from server.http.exchange import exchange_of
from server.http.refusals import HttpRefusal

GRAPHQL_PATHS = frozenset({"/graphql", "/graphql/stream"})


class EncodedResponse(Response):
    """A response whose body and headers are already encoded; its length is added to the headers."""

    def __init__(self, body: bytes, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.status_code = status
        self.body = body
        self.raw_headers = [*headers, (b"content-length", b"%d" % len(body))]
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        # Middleware that wants to see the response has replaced `send`.
        if send != exchange.send or not exchange.answer(self.status_code, self.raw_headers, self.body):
            await super().__call__(scope, receive, send)


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with the value, which must not be cached."""
    return Response(
        encode_json(value),
        status,
        {"cache-control": "no-store", **(headers or {})},
        media_type="application/json",
    )


def refusal_response(refusal: HttpRefusal, path: str) -> Response:
    """Return the response to a request to that path that is rejected.

    On the paths of GraphQL it is a GraphQL response, elsewhere `{"error": {"code", "message"}}`.
    """
    if path not in GRAPHQL_PATHS:
        error = {"code": refusal.code, "message": refusal.message}
        return json_response({"error": error}, refusal.status, refusal.headers)
    extensions: dict[str, object] = {"code": refusal.code}
    if refusal.request_id is not None:
        extensions["requestId"] = refusal.request_id
    if "retry-after" in refusal.headers:
        extensions["retryAfter"] = int(refusal.headers["retry-after"])
    answer = {"errors": [{"message": refusal.message, "extensions": extensions}]}
    headers = {"content-type": "application/json; charset=utf-8", **refusal.headers}
    return json_response(answer, refusal.status, headers)


def sign_in_response(sign_in: SignIn) -> Response:
    """Return a response with the token, when it expires, and its user."""
    user = User.of(sign_in.session.user)
    return json_response(
        {
            "token": sign_in.token,
            "expiresAt": format_date_time(sign_in.session.expires_at),
            "user": {"id": user.id, "username": user.username, "avatarUrl": user.avatar_url},
        }
    )

"""Unexpected exceptions, logged and hidden from clients, and requests that a shutdown interrupts."""

import asyncio

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from execution.answers import internal_error_message
from server.http.connections import connection_of
from server.http.exchange import exchange_of
from server.http.refusals import HttpRefusal
from server.http.responses import refusal_response

log = structlog.stdlib.get_logger(__name__)

_STOPPING = "The server is stopping. It is unknown whether the request had an effect. Send it again."


class MaskedFaults:
    """Middleware that logs unexpected exceptions, and answers with 500 and the request's ID.

    A request that is still running when the server has to stop is answered with 503. If the response has
    already started, its connection is closed instead.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            log.warning("request interrupted")
            if exchange.response_started:
                connection_of(scope).abort()
                return
            refusal = HttpRefusal(503, "UNAVAILABLE", _STOPPING, {"connection": "close", "retry-after": "1"})
            await refusal_response(refusal, scope["path"])(scope, receive, send)
        except Exception:
            log.exception("request failed")
            if exchange.response_started:
                raise
            request_id = scope["state"]["request_id"]
            refusal = HttpRefusal(500, "INTERNAL", internal_error_message(request_id), request_id=request_id)
            await refusal_response(refusal, scope["path"])(scope, receive, send)

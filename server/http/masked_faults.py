"""Unexpected exceptions, which are logged and hidden from clients."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from execution.answers import internal_error_message
from server.http.refusals import HttpRefusal
from server.http.responses import refusal_response

log = structlog.stdlib.get_logger(__name__)


class MaskedFaults:
    """Middleware that logs unexpected exceptions, and answers with 500 and the request's ID.

    If the response has already started, its connection is closed instead.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            log.exception("request failed")
            if has_begun:
                raise
            request_id = scope["state"]["request_id"]
            refusal = HttpRefusal(500, "INTERNAL", internal_error_message(request_id), request_id=request_id)
            await refusal_response(refusal, scope["path"])(scope, receive, send)

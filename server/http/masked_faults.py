"""What nobody expected to fail."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.refusals import HttpRefusal
from server.http.responses import refusal_response

log = structlog.stdlib.get_logger(__name__)


class MaskedFaults:
    """Middleware that logs what fails, and tells the client no more than under which id."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; where the answer has begun, a fault breaks it off."""
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            log.exception("the request failed")
            if has_begun:
                raise
            request_id = scope["state"]["request_id"]
            refusal = HttpRefusal(
                500,
                "INTERNAL",
                f"Something went wrong on the server, which has noted it under {request_id}.",
                request_id=request_id,
            )
            await refusal_response(refusal, scope["path"])(scope, receive, send)

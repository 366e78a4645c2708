"""The ID, log line and metrics of every request."""

import time
from functools import lru_cache

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from server.observability.metrics import REQUEST_SECONDS, REQUESTS, REQUESTS_IN_PROGRESS

log = structlog.stdlib.get_logger("messenger.requests")

_COUNTED_PATHS = ("/graphql", "/graphql/stream", "/auth/", "/health/", "/metrics", "/assets/", "/graphiql/")


IS_STREAM = "is_stream"
"""The key in a request's state that marks a stream, whose duration is not included in the metrics."""


class RequestLog:
    """Middleware that gives each request an ID, which is in its response, log lines and errors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid7().hex
        scope.setdefault("state", {})["request_id"] = request_id
        # If an application is set, Starlette's router raises its errors, which are then answered in JSON.
        scope["app"] = self
        started = time.perf_counter()
        status = 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = dict(message["headers"])
                added = [(b"x-request-id", request_id.encode())]
                if b"x-content-type-options" not in headers:
                    # Browsers must not interpret JSON as anything else.
                    added.append((b"x-content-type-options", b"nosniff"))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        # Each request runs in its own task, and so has its own context.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        with REQUESTS_IN_PROGRESS.track_inprogress():
            try:
                await self._app(scope, receive, send_noted)
            finally:
                seconds = time.perf_counter() - started
                path = _counted(scope["path"])
                _requests(scope["method"], path, status).inc()
                if IS_STREAM not in scope["state"]:
                    _request_seconds(path).observe(seconds)
                log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    milliseconds=round(seconds * 1000, 1),
                )


# Looking up a labelled series takes longer than incrementing it.
_requests = lru_cache(256)(REQUESTS.labels)
_request_seconds = lru_cache(256)(REQUEST_SECONDS.labels)


def _counted(path: str) -> str:
    """Return the label for the path, so that the number of series is bounded."""
    if path in _COUNTED_PATHS:
        return path
    return next(
        (start for start in _COUNTED_PATHS if start.endswith("/") and path.startswith(start)), "other"
    )

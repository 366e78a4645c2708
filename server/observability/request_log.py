"""What is noted about every request: an id, a line in the log, and the metrics."""

import time
from functools import lru_cache

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from server.observability.metrics import REQUEST_SECONDS, REQUESTS, REQUESTS_IN_PROGRESS

log = structlog.stdlib.get_logger("messenger.requests")

_COUNTED_PATHS = ("/graphql", "/graphql/stream", "/auth/", "/health/", "/metrics", "/assets/", "/graphiql/")


IS_STREAM = "is_stream"
"""In the state of a request that is answered with a stream, whose time is left out of the metrics."""


class RequestLog:
    """Middleware that gives each request an id, which its answer, its log lines and its errors carry."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever becomes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid7().hex
        scope.setdefault("state", {})["request_id"] = request_id
        # Where there is an application, Starlette's router raises what it turns down, and we answer in JSON.
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
                    # What is JSON is not to be taken for anything else.
                    added.append((b"x-content-type-options", b"nosniff"))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        # A request has a task of its own, and so a context.
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


# Looking a series up takes longer than counting.
_requests = lru_cache(256)(REQUESTS.labels)
_request_seconds = lru_cache(256)(REQUEST_SECONDS.labels)


def _counted(path: str) -> str:
    """Return the path, or what stands for the many that nobody could count."""
    if path in _COUNTED_PATHS:
        return path
    return next(
        (start for start in _COUNTED_PATHS if start.endswith("/") and path.startswith(start)), "other"
    )

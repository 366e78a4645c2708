"""The ID, log line and metrics of every request."""

import time
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send
from uuid_utils import uuid7

from server.http.exchange import exchange_of
from server.observability.logs import REQUEST_ID, request_logger
from server.observability.metrics import REQUEST_SECONDS, REQUESTS, REQUESTS_IN_PROGRESS

_COUNTED_PATHS = ("/graphql", "/graphql/stream", "/auth/", "/health/", "/metrics", "/assets/", "/graphiql/")


IS_STREAM = "is_stream"
"""The key in a request's state that marks a stream, whose duration is not included in the metrics."""

# Browsers must not interpret JSON as anything else.
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")


class RequestLog:
    """Middleware that gives each request an ID, which is in its response, log lines and errors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = request_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid7().hex
        scope.setdefault("state", {})["request_id"] = request_id
        # If an application is set, Starlette's router raises its errors, which are then answered in JSON.
        scope["app"] = self
        exchange = exchange_of(scope)
        exchange.add_headers((b"x-request-id", request_id.encode()), _NO_SNIFFING)
        # Each request runs in its own task, and so has its own context.
        REQUEST_ID.set(request_id)
        REQUESTS_IN_PROGRESS.count += 1
        started = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            seconds = time.perf_counter() - started
            REQUESTS_IN_PROGRESS.count -= 1
            method, path, status = scope["method"], scope["path"], exchange.status
            counted = _counted(path)
            _requests(method, counted, status).inc()
            if IS_STREAM not in scope["state"]:
                _request_seconds(counted).observe(seconds)
            self._log(method, path, status, seconds)


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

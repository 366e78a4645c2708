"""CORS, for frontends on other origins."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

# Headers that Sentry, OpenTelemetry (W3C and B3), Apollo Client and others add to every request.
_USUAL_HEADERS = (
    "baggage",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "apollo-require-preflight",
    "apollographql-client-name",
    "apollographql-client-version",
    "x-apollo-operation-id",
    "x-apollo-operation-name",
    "x-apollo-operation-type",
    "x-request-id",
    "x-requested-with",
)
# Chromium does not cache a preflight for longer.
_PREFLIGHT_CACHE_SECONDS = 7200


def with_cors(app: ASGIApp, origins: Sequence[str], headers: Sequence[str]) -> ASGIApp:
    """Let pages of these origins send cookies, these headers, and those that monitoring tools add."""
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_credentials=True,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=[*headers, *_USUAL_HEADERS],
        expose_headers=["x-request-id", "retry-after"],
        max_age=_PREFLIGHT_CACHE_SECONDS,
    )

"""Liveness, readiness and metrics, for the operator's tools."""

import asyncio

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db.engine import Database, DatabaseUnavailable
from server.http.responses import json_response
from server.observability.metrics import latest, measure
from server.streams.open_streams import OpenStreams

_DATABASE_SECONDS = 3


class OperatorEndpoints:
    """The endpoints under /health, and /metrics."""

    def __init__(self, database: Database, streams: OpenStreams) -> None:
        self._database = database
        self._streams = streams

    def routes(self) -> list[Route]:
        return [
            Route("/health/live", self.live),
            Route("/health/ready", self.ready),
            Route("/metrics", self.metrics),
        ]

    async def live(self, request: Request) -> Response:
        """Answer 200 as long as the process serves requests, so that it need not be restarted."""
        return json_response({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """Answer 503 while the server stops or its database does not respond, otherwise 200."""
        if self._streams.closing:
            return json_response({"status": "stopping"}, 503)
        try:
            async with asyncio.timeout(_DATABASE_SECONDS), self._database.connection() as connection:
                await connection.execute("SELECT 1")
        except (TimeoutError, DatabaseUnavailable):
            return json_response({"status": "no answer from the database"}, 503)
        return json_response({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """Answer with the metrics of all workers in Prometheus's text format."""
        measure(self._database)
        return Response(latest(), headers={"content-type": CONTENT_TYPE_LATEST})

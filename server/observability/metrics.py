"""The metrics at /metrics: https://prometheus.io/docs/instrumenting/exposition_formats/.

With several workers, each writes its values to shared files, and the one that serves /metrics adds them up:
https://prometheus.github.io/client_python/multiprocess/.
"""

import asyncio
import os

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from db.engine import Database

SHARED_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder of these files, which the library reads when it is imported."""

# The creation time of each series is of no use to operators, and doubles the size of the page.
disable_created_metrics()


def _gauge(name: str, description: str) -> Gauge:
    return Gauge(name, description, multiprocess_mode="livesum")


REQUESTS = Counter("messenger_http_requests_total", "Answered requests.", ["method", "path", "status"])
_REQUESTS_IN_PROGRESS = _gauge(
    "messenger_http_requests_in_progress", "Requests whose response has not ended, including streams."
)
REQUEST_SECONDS = Histogram(
    "messenger_http_request_seconds",
    "Time from a request's head to the end of its response, without streams.",
    ["path"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
OPERATIONS = Counter(
    "messenger_operations_total",
    "Executed operations by root field and outcome: ok, refused (the client's fault) or failed.",
    ["field", "outcome"],
)
OPEN_STREAMS = _gauge("messenger_open_streams", "Open event streams.")
STREAMS_ENDED = Counter("messenger_streams_ended_total", "Ended event streams, by reason.", ["reason"])
SLOW_CLIENTS_DISCONNECTED = Counter(
    "messenger_slow_clients_disconnected_total",
    "Connections closed because their clients read a response too slowly, by reason.",
    ["reason"],
)
RATES_NOT_COUNTED = Counter(
    "messenger_rates_not_counted_total",
    "Messages, sign-ins and the like that were allowed without counting because the database did not answer.",
)
_TASKS = _gauge("messenger_tasks", "Tasks of the event loop: one for each open stream and each request.")
_CONNECTIONS = _gauge("messenger_database_connections", "Open connections to the database.")
_CONNECTIONS_IN_USE = _gauge("messenger_database_connections_in_use", "Connections in use.")


class InProgress:
    """The number of requests in progress. Its gauge would take as long as both other metrics of a request."""

    def __init__(self) -> None:
        self.count = 0


REQUESTS_IN_PROGRESS = InProgress()


def measure(database: Database) -> None:
    """Set the gauges that are not updated by events."""
    connections, in_use = database.pool_use()
    _REQUESTS_IN_PROGRESS.set(REQUESTS_IN_PROGRESS.count)
    _TASKS.set(len(asyncio.all_tasks()))
    _CONNECTIONS.set(connections)
    _CONNECTIONS_IN_USE.set(in_use)


async def keep_measuring(database: Database, every_seconds: float) -> None:
    """Call `measure` periodically until cancelled, so that any worker can report the values of all."""
    while True:
        measure(database)
        await asyncio.sleep(every_seconds)


def latest() -> bytes:
    """Return the metrics of all workers in Prometheus's text format."""
    if SHARED_FOLDER_VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)

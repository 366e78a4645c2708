"""What /metrics tells: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# When a series began is of no use to an operator, and doubles the page.
disable_created_metrics()

REQUESTS = Counter("messenger_http_requests_total", "Answered requests.", ["method", "path", "status"])
REQUESTS_IN_PROGRESS = Gauge(
    "messenger_http_requests_in_progress", "Requests whose answer has not ended, streams included."
)
REQUEST_SECONDS = Histogram(
    "messenger_http_request_seconds",
    "From a request's head to the end of its answer, streams left out.",
    ["path"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
OPERATIONS = Counter(
    "messenger_operations_total",
    "Executed operations by root field, and how they ended: ok, refused (the client's doing) or failed.",
    ["field", "outcome"],
)
OPEN_STREAMS = Gauge("messenger_open_streams", "Event streams that are open now.")
STREAMS_ENDED = Counter("messenger_streams_ended_total", "Event streams that ended, by why.", ["reason"])
TASKS = Gauge("messenger_tasks", "Tasks of this process: two for each open stream, one for each request.")
POOL_CONNECTIONS = Gauge(
    "messenger_database_connections", "Connections to the database that this process has open."
)
POOL_IN_USE = Gauge("messenger_database_connections_in_use", "Those of them that are in use.")

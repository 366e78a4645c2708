"""Logging: one event per line, readable in a terminal, and JSON elsewhere."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Protocol

import orjson
import structlog

from server.config.settings import LogFormat

REQUEST_ID: ContextVar[str] = ContextVar("request_id")
"""The ID of the request that the current task serves, which is in all its log lines."""

_REQUESTS = "messenger.requests"

log = structlog.stdlib.get_logger(_REQUESTS)


def set_up_logging(log_format: LogFormat) -> None:
    """Write all log records of this process, including those of libraries, to standard error."""
    for_people = log_format is LogFormat.CONSOLE or (log_format is LogFormat.AUTO and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        _add_request_id,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if for_people:
        # Without the values of local variables, which include tokens and messages.
        rendered: list[structlog.typing.Processor] = [
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        ]
        structlog.configure(
            processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            logger_factory=structlog.stdlib.LoggerFactory(),
            cache_logger_on_first_use=True,
        )
    else:
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        exceptions = structlog.processors.ExceptionRenderer(tracebacks)
        rendered = [exceptions, structlog.processors.JSONRenderer(default=str)]
        # These bypass the standard library, which takes three times as long.
        structlog.configure(
            processors=[*shared, exceptions, structlog.processors.JSONRenderer(serializer=_encoded)],
            logger_factory=_NamedLogger,
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=True,
        )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # request_log.py logs requests; the lines of libraries about starting and stopping are noise.
    for name in ("uvicorn", "uvicorn.error", "alembic", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True


class RequestLogger(Protocol):
    """Logs a request that has been answered."""

    def __call__(self, method: str, path: str, status: int, seconds: float) -> None:
        """Log the request that the current task has served."""
        ...


def request_logger() -> RequestLogger:
    """Return the logger of requests, for the format that `set_up_logging` has chosen."""
    if structlog.get_config()["logger_factory"] is not _NamedLogger:
        return _log_request
    lines = _NamedLogger(_REQUESTS)

    def log_as_json(method: str, path: str, status: int, seconds: float) -> None:
        # Every request logs this line, and structlog's processors would take several times as long.
        line = {
            "method": method,
            "path": path,
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
            "event": "request",
            "request_id": REQUEST_ID.get(),
            "logger": _REQUESTS,
            "level": "info",
            "timestamp": datetime.now(UTC),
        }
        lines.msg(orjson.dumps(line, option=orjson.OPT_UTC_Z))

    return log_as_json


def _log_request(method: str, path: str, status: int, seconds: float) -> None:
    log.info("request", method=method, path=path, status=status, milliseconds=round(seconds * 1000, 1))


def _add_request_id(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    request_id = REQUEST_ID.get(None)
    if request_id is not None:
        event["request_id"] = request_id
    return event


class _NamedLogger(structlog.BytesLogger):
    """Writes lines to standard error, with a name for `add_logger_name`."""

    def __init__(self, name: str = "messenger") -> None:
        super().__init__(sys.stderr.buffer)
        self.name = name


def _encoded(event: object, **_options: object) -> bytes:
    try:
        return orjson.dumps(event, str)
    except TypeError:
        # A lone surrogate, a number of more than 64 bits, or a key that is not a string.
        return json.dumps(event, default=str).encode()

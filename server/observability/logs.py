"""Logging: one event a line, for people in a terminal and as JSON elsewhere."""

import json
import logging
import sys

import orjson
import structlog

from server.config.settings import LogFormat


def set_up_logging(log_format: LogFormat) -> None:
    """Write every log record of this process, the libraries' too, to standard error in one format."""
    for_people = log_format is LogFormat.CONSOLE or (log_format is LogFormat.AUTO and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if for_people:
        # Without the values of local variables, among which are tokens and what people write.
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
        # Every request writes a line: ours go past the standard library, which takes three times as long.
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
    # Requests are logged by us, with their id; the libraries' own starts and stops are noise.
    for name in ("uvicorn", "uvicorn.error", "alembic", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True


class _NamedLogger(structlog.BytesLogger):
    """Writes lines to standard error, and has the name that `add_logger_name` adds."""

    def __init__(self, name: str = "messenger") -> None:
        super().__init__(sys.stderr.buffer)
        self.name = name


def _encoded(event: object, **_options: object) -> bytes:
    try:
        return orjson.dumps(event, str)
    except TypeError:
        # Half a surrogate pair, a number over 64 bits, or a key that is no text.
        return json.dumps(event, default=str).encode()

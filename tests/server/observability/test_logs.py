"""The line of a request is the one that structlog would write."""

import json
import re
import subprocess
import sys

import pytest

_PROGRAM = """
import sys
import structlog
from server.config.settings import LogFormat
from server.observability.logs import REQUEST_ID, request_logger, set_up_logging

set_up_logging(LogFormat(sys.argv[1]))
REQUEST_ID.set("0123456789abcdef")
path = "/\\u00e9\\u2028\\"\\\\\\n"
request_logger()("POST", path, 200, 0.00126)
structlog.stdlib.get_logger("messenger.requests").info(
    "request", method="POST", path=path, status=200, milliseconds=1.3
)
"""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")


def lines_in(log_format: str) -> list[str]:
    """Return the line of the logger of requests, and the same one by structlog."""
    written = subprocess.run(
        [sys.executable, "-c", _PROGRAM, log_format], capture_output=True, check=True, timeout=60, text=True
    )
    return written.stderr.removesuffix("\n").split("\n")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_the_line_of_a_request_has_the_same_fields_in_the_same_order(log_format: str):
    fast, slow = lines_in(log_format)
    assert _TIME.sub("then", fast) == _TIME.sub("then", slow)
    assert "then" in _TIME.sub("then", fast)


def test_the_line_of_a_request_is_json():
    line = json.loads(lines_in("json")[0])
    assert _TIME.fullmatch(line.pop("timestamp"))
    assert line == {
        "method": "POST",
        "path": '/\u00e9\u2028"\\\n',
        "status": 200,
        "milliseconds": 1.3,
        "event": "request",
        "request_id": "0123456789abcdef",
        "logger": "messenger.requests",
        "level": "info",
    }

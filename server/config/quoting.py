"""Quoting the value of a setting in an error message."""

import json
import re

_MAX_SHOWN_CHARS = 100
_CREDENTIALS = re.compile(r"//[^/@]*@")


def quoted(value: object) -> str:
    """Return the value in double quotes, shortened if it is long, and without the credentials of a URL."""
    text = _CREDENTIALS.sub("//…@", str(value))
    shortened = text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}…"
    return json.dumps(shortened, ensure_ascii=False)

"""Checking that every line of `.env` can be read. Reading the settings skips the others."""

from pathlib import Path

from dotenv.parser import parse_stream

from server.config.settings import Settings


def unreadable_line() -> int | None:
    """Return the number of the first line that is neither an assignment, a comment nor empty.

    Raises:
        OSError: the file exists, but cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    file = Path(str(Settings.model_config.get("env_file")))
    if not file.is_file():
        return None
    with file.open(encoding="utf-8") as lines:
        for binding in parse_stream(lines):
            if binding.error or (binding.key is not None and binding.value is None):
                text = binding.original.string
                return binding.original.line + len(text[: len(text) - len(text.lstrip())].splitlines())
    return None

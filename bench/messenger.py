"""The messenger as a subject."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_PROGRAM = str(Path(sys.executable).parent / "messenger")


def command(workers: int) -> list[str]:
    """Return the command that starts it with default settings except for `environment`."""
    return [_PROGRAM, "serve", "--workers", str(workers)]


def environment(database_url: str) -> Mapping[str, str]:
    """Return its environment: a free port, the database, no rate limits, and edits at any time."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MESSENGER_")},
        "MESSENGER_PORT": "0",
        "MESSENGER_DATABASE_URL": database_url,
        "MESSENGER_RATE_LIMITS": "off",
        "MESSENGER_EDIT_SECONDS": "864000",
    }


def migrate(database_url: str) -> None:
    """Create the tables."""
    subprocess.run([_PROGRAM, "migrate"], env=environment(database_url), check=True, capture_output=True)

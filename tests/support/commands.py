"""The commands of the program, as operators run them."""

import os
import subprocess
from pathlib import Path

from tests.support.serving import MESSENGER


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run one of our commands to its end, in the folder and with these settings alone."""
    return subprocess.run(
        [MESSENGER, *arguments],
        env=environment_with(**settings),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def environment_with(**settings: str) -> dict[str, str]:
    """Return this environment with these settings alone."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESSENGER_")}
    return environment | {f"MESSENGER_{name.upper()}": value for name, value in settings.items()}

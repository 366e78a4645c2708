"""Running the commands of the messenger as operators do."""

import os
import subprocess
from pathlib import Path

from tests.support.serving import MESSENGER


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder, with only these settings, and wait for it to exit."""
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
    """Return the environment of this process, with only these settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESSENGER_")}
    return environment | {f"MESSENGER_{name.upper()}": value for name, value in settings.items()}

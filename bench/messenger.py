"""The messenger as a subject: this version of it, and earlier ones."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import CHECKOUT

# The file that describes the settings.
CONFIGURATION = Path("docs", "configuration.md")
_SETTINGS = {
    # A free port.
    "MESSENGER_PORT": "0",
    "MESSENGER_RATE_LIMITS": "off",
    # Edits at any time.
    "MESSENGER_EDIT_SECONDS": "864000",
}


class CannotDowngrade(Exception):
    """The database cannot be downgraded to another version; the message says why."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the messenger: the folder of its code, and the folder of its environment's programs."""

    checkout: Path
    programs: Path

    def command(self, workers: int) -> Sequence[str]:
        """Return the command that starts it, with default settings except for those in `environment`."""
        return [str(self.programs / "messenger"), "serve", "--workers", str(workers)]

    def environment(self, database_url: str) -> Mapping[str, str]:
        """Return its environment variables: this code, the database, and what the measurements require.

        Settings that this version does not have are left out, because it would not start with them.
        """
        known = (self.checkout / CONFIGURATION).read_text()
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("MESSENGER_")},
            **{name: value for name, value in _SETTINGS.items() if f"`{name}`" in known},
            "MESSENGER_DATABASE_URL": database_url,
            "PYTHONPATH": str(self.checkout),
        }

    def last_migration(self) -> str:
        """Return the number of its last migration.

        Raises:
            CannotDowngrade: It has no migrations, so it is not a version of the messenger.
        """
        numbers = [path.name.partition("_")[0] for path in self.checkout.glob("alembic/versions/[0-9]*.py")]
        if not numbers:
            raise CannotDowngrade("it has no migrations in alembic/versions")
        return max(numbers)


CURRENT = Version(CHECKOUT, Path(sys.executable).parent)


def migrate(database_url: str) -> None:
    """Create the tables."""
    command = [str(CURRENT.programs / "messenger"), "migrate"]
    subprocess.run(command, env=CURRENT.environment(database_url), check=True, capture_output=True)


def downgrade(database_url: str, version: Version) -> None:
    """Downgrade the tables to those of another version.

    Raises:
        CannotDowngrade: The version has migrations that this one does not have, or one cannot be undone.
    """
    url = database_url.replace("postgresql://", "postgresql+asyncpg://")
    done = subprocess.run(
        [str(CURRENT.programs / "alembic"), "-x", f"url={url}", "downgrade", version.last_migration()],
        cwd=CHECKOUT,
        env=CURRENT.environment(database_url),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise CannotDowngrade(done.stderr.strip())

"""The messenger as a subject."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_PROGRAM = str(Path(sys.executable).parent / "messenger")
_ALEMBIC = str(Path(sys.executable).parent / "alembic")
_CHECKOUT = Path(__file__).parent.parent


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


def environment_of(checkout: Path, database_url: str) -> Mapping[str, str]:
    """Return the environment for the code in another checkout, with the same packages."""
    own = {**environment(database_url), "PYTHONPATH": str(checkout)}
    # Version 0.2 does not have this setting.
    del own["MESSENGER_EDIT_SECONDS"]
    return own


def downgrade(database_url: str, checkout: Path) -> None:
    """Change the tables to those of another checkout.

    Raises:
        ValueError: The checkout has no migrations, so it is not one of the messenger.
    """
    revisions = sorted(path.name.partition("_")[0] for path in checkout.glob("alembic/versions/[0-9]*.py"))
    if not revisions:
        raise ValueError(f"{checkout} has no alembic/versions: give the folder of a checkout")
    url = database_url.replace("postgresql://", "postgresql+asyncpg://")
    subprocess.run(
        [_ALEMBIC, "-x", f"url={url}", "downgrade", revisions[-1]],
        cwd=_CHECKOUT,
        env=environment(database_url),
        check=True,
        capture_output=True,
    )


def migrate(database_url: str) -> None:
    """Create the tables."""
    subprocess.run([_PROGRAM, "migrate"], env=environment(database_url), check=True, capture_output=True)

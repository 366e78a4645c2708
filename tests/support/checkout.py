"""The checkout under test: its location, and what the Makefile installs into it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def require(path: Path) -> None:
    """Fail the test with a hint if the path does not exist. `make prepare` creates it."""
    if not path.exists():
        pytest.fail(f"{path.relative_to(ROOT)} is missing: run `make prepare` once", pytrace=False)

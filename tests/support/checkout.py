"""The checkout under test: its location, and what the Makefile installs into it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def require(path: Path) -> None:
    """Fail the test with what to do if the path, which `make prepare` creates, does not exist."""
    if not path.exists():
        pytest.fail(f"{path.relative_to(ROOT)} is missing: run `make prepare` once", pytrace=False)

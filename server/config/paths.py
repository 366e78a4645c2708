"""Validating the paths in the settings: files that must exist, and the data directory."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def _existing_file(path: Path) -> Path:
    try:
        exists = path.is_file()
    except OSError:
        # The name is too long, or a folder is not accessible.
        exists = False
    if not exists:
        raise ValueError("must be the path of an existing file")
    return path


def _directory(path: Path) -> Path:
    try:
        is_usable = path.is_dir() or not path.exists()
    except OSError:
        is_usable = False
    if not is_usable:
        raise ValueError("must be the path of a directory, which is created if it does not exist")
    return path


ExistingFile = Annotated[Path, AfterValidator(_existing_file)]
Directory = Annotated[Path, AfterValidator(_directory)]

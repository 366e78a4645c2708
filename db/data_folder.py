"""A private data directory: other users can neither read nor lock its files."""

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import structlog

log = structlog.stdlib.get_logger(__name__)


def closed_folder(folder: Path, through: pwd.struct_passwd | None = None) -> None:
    """Create a private folder, or make an existing one private. The user `through` may traverse it.

    An existing folder does not change if it contains other files or belongs to another user. Files that are
    created in it are private themselves.
    """
    is_new = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX or not (is_new or _is_ours(folder)):
        if stat.S_IMODE(found.st_mode) & 0o022:
            log.warning(
                "data directory writable by other users: they can stop the server", folder=str(folder)
            )
        return
    if through is not None:
        os.chown(folder, -1, through.pw_gid)
    # The group belongs to that user alone, so no other user can traverse the folder.
    folder.chmod(0o700 if through is None else 0o710)


def closed_file(path: Path, mode: Literal["a+", "r+", "w"]) -> IO[str]:
    """Open a file that only its owner can open. Anyone who can open a file for reading can also lock it."""
    file = open(path, mode, opener=_closed)  # noqa: SIM115  # Path.open takes no opener
    with suppress(PermissionError):
        # Earlier versions created files that others can read.
        os.fchmod(file.fileno(), 0o600)
    return file


def _closed(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _is_ours(folder: Path) -> bool:
    """Return whether the folder is empty or a data directory of the messenger."""
    names = {each.name for each in folder.iterdir()}
    return not names or "owner.lock" in names or "postgres" in names

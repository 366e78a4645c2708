"""The data directory, closed to other users: they can neither read, lock nor stop what is in it."""

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import structlog

log = structlog.stdlib.get_logger(__name__)


def closed_folder(folder: Path, through: pwd.struct_passwd | None = None) -> None:
    """Make the folder, or close the one that is there; the user `through` may pass through it.

    A folder with other things in it is left as it is, and so is one that belongs to another user: what is
    made in it is closed for itself.
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
    # Its group is that user's own, so no other user passes.
    folder.chmod(0o700 if through is None else 0o710)


def closed_file(path: Path, mode: Literal["a+", "r+", "w"]) -> IO[str]:
    """Open the file so that only its owner can: to lock a file, it is enough to read it."""
    file = open(path, mode, opener=_closed)  # noqa: SIM115  # Path.open takes no opener
    with suppress(PermissionError):
        # One that an earlier version has made is open to others.
        os.fchmod(file.fileno(), 0o600)
    return file


def _closed(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _is_ours(folder: Path) -> bool:
    """Say whether the folder is empty or a data directory."""
    names = {each.name for each in folder.iterdir()}
    return not names or "owner.lock" in names or "postgres" in names

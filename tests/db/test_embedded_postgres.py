"""The embedded PostgreSQL starts, keeps its data, and never outlives its owner."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from db import embedded
from db.engine import open_database
from tests.support.tables import tables

OWNER = """
import signal, sys
from pathlib import Path
from db import embedded
# A shell that runs the tests in the background has made it ignore the signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
with embedded.running(Path(sys.argv[1])) as cluster:
    print("server", cluster.process.pid, flush=True)
    sys.stdin.read()
"""


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.005)


def has_ended(process: psutil.Process) -> bool:
    """Return whether it has ended; in a container, the first process may leave a zombie."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@contextmanager
def owner_of(data_dir: Path) -> Generator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Run another process that owns the data directory, and yield both it and its server."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as owner:
        assert owner.stdout is not None
        try:
            # A log line may come first.
            started = next(line for line in owner.stdout if line.startswith("server "))
            yield owner, psutil.Process(int(started.split()[1]))
        finally:
            owner.kill()


async def test_data_survives_a_restart(tmp_path: Path):
    with embedded.running(tmp_path) as cluster:
        async with open_database(cluster.url()) as database, tables(database) as connection:
            await connection.execute(text("CREATE TABLE kept AS SELECT 42 AS answer"))
    assert cluster.process.returncode == 0
    with embedded.running(tmp_path) as cluster:
        async with open_database(cluster.url()) as database, tables(database) as connection:
            assert await connection.scalar(text("SELECT answer FROM kept")) == 42


def test_the_server_ends_with_its_killed_owner_and_another_can_start_immediately(tmp_path: Path):
    with owner_of(tmp_path) as (owner, server):
        owner.kill()
        with embedded.running(tmp_path) as cluster:
            assert cluster.process.pid != server.pid
            assert has_ended(server)


def test_a_second_owner_is_rejected_with_a_reason(tmp_path: Path):
    with owner_of(tmp_path) as (owner, _):
        expected = f"process {owner.pid} uses the data in {tmp_path}. Stop it (kill {owner.pid}), or use"
        with (
            pytest.raises(embedded.EmbeddedPostgresError, match=re.escape(expected)),
            embedded.running(tmp_path, wait_seconds=0.2),
        ):
            pass


def test_ctrl_c_reaches_the_owner_but_not_the_server(tmp_path: Path):
    with owner_of(tmp_path) as (owner, server):
        assert os.getpgid(server.pid) != os.getpgid(owner.pid)
        os.killpg(owner.pid, signal.SIGINT)
        owner.wait(30)
        eventually(lambda: has_ended(server))
    assert "received fast shutdown request" in (tmp_path / "postgres.log").read_text()


def test_a_path_too_long_for_a_socket_works(tmp_path: Path):
    with embedded.running(tmp_path / ("long" * 30)) as cluster:
        socket_dir = cluster.socket_dir
        assert (socket_dir / ".s.PGSQL.5432").exists()
    assert not socket_dir.exists()


def test_data_of_another_version_is_rejected_and_kept(tmp_path: Path):
    with embedded.running(tmp_path):
        pass
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")
    with (
        pytest.raises(embedded.EmbeddedPostgresError, match="contains data of PostgreSQL 9"),
        embedded.running(tmp_path),
    ):
        pass
    assert (tmp_path / "postgres" / "base").exists()


def test_an_interrupted_first_start_is_repeated(tmp_path: Path):
    (tmp_path / "postgres.unfinished").mkdir()
    (tmp_path / "postgres.unfinished" / "PG_VERSION").touch()
    with embedded.running(tmp_path) as cluster:
        assert cluster.process.poll() is None

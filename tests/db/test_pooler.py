"""PostgreSQL behind a pooler in transaction mode, where each transaction may use another connection."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from db.embedded import Cluster
from db.engine import open_database
from db.orphans import until
from tests.conftest import sign_in
from tests.support.clients import http_client
from tests.support.counts import miscounted
from tests.support.serving import eventually, running_server

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")

pytestmark = pytest.mark.skipif(
    # In CI, a missing program is a failure.
    PGBOUNCER is None and "CI" not in os.environ,
    reason="there is no PgBouncer: apt-get install pgbouncer",
)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running_pgbouncer(folder: Path, cluster: Cluster) -> Generator[int]:
    """Run PgBouncer with two connections per database, pooled by transaction; yield its port."""
    assert PGBOUNCER is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(f"""
        [databases]
        * = host={cluster.socket_dir} user=postgres
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = any
        pool_mode = transaction
        default_pool_size = 2
    """)
    # It refuses to run as root, and its user must be able to reach the server's socket.
    user = pwd.getpwuid(cluster.socket_dir.stat().st_uid).pw_name if os.geteuid() == 0 else None
    configuration.chmod(0o644)
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(
            [PGBOUNCER, *(["-u", user] if user else []), str(configuration)], stdout=log, stderr=log, cwd="/"
        )
    try:
        assert until(lambda: listens(port), 20), "PgBouncer does not listen"
        yield port
    finally:
        process.kill()
        process.wait(20)


async def test_messages_are_sent_counted_and_received_through_a_pooler(cluster: Cluster, tmp_path: Path):
    name = f"pooled_{uuid4().hex}"
    engine = create_async_engine(cluster.url(), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    await engine.dispose()
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    with running_pgbouncer(tmp_path, cluster) as port:
        url = f"postgresql://postgres@127.0.0.1:{port}/{name}"
        # Hints use a connection of their own that bypasses the pooler.
        direct = cluster.url(name).replace("postgresql+asyncpg", "postgresql")
        with running_server(
            tmp_path, database_url=url, database_pooler="on", workers="2", broadcast_url=direct
        ) as server:
            await eventually(lambda: server.log_path.read_text().count("listening for hints") >= 2)
            async with http_client(server.url) as http:
                ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
                conversation = await ada.opens_conversation_with(grace)
                async with grace.listening() as heard, grace.listening() as heard_too:
                    for number in range(30):
                        await ada.sends(str(number), to=conversation)
                    for stream in (heard, heard_too):
                        assert await stream.contents(30) == [str(number) for number in range(30)]
                for number in range(10):
                    await (ada, grace, grace)[number % 3].sends(str(number), to=conversation)
            async with open_database(cluster.url(name)) as database, database.connection() as connection:
                assert await miscounted(connection) == []
                assert await connection.fetchval("SELECT sum(unread_messages) FROM inboxes") == 1
        assert [line for line in server.log() if line["level"] == "error"] == []

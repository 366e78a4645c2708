"""The statements in the documentation create a database that the server can use."""

import re
from pathlib import Path

import asyncpg

from db.embedded import Cluster
from db.urls import libpq_url
from tests.support.checkout import ROOT
from tests.support.serving import run_command

PAGE = (ROOT / "docs" / "deployment.md").read_text()


async def test_a_role_without_privileges_migrates_and_uses_its_own_database(cluster: Cluster, tmp_path: Path):
    [statements] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    superuser = await asyncpg.connect(libpq_url(cluster.url()))
    try:
        for statement in statements.strip().split("\n"):
            await superuser.execute(statement)
    finally:
        await superuser.close()
    url = f"postgresql://messenger:any@/messenger?host={cluster.socket_dir}"
    migrated = run_command(tmp_path, "migrate", database_url=url)
    assert (migrated.returncode, migrated.stderr) == (0, "")
    seeded = run_command(tmp_path, "seed", database_url=url)
    assert "30 demo users" in seeded.stdout

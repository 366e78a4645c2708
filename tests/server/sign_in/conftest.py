"""A public server."""

from collections.abc import Generator

import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.server.sign_in.signing_in import FRONTEND
from tests.support.serving import Server, running_server


@pytest.fixture(scope="module")
def public_server(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """A server that browsers reach by https, with a frontend on another origin."""
    with running_server(
        tmp_path_factory.mktemp("public"),
        database_url=cluster.url(),
        public_url="https://chat.example.com",
        dev_login="on",
        allowed_origins=f"https://other.example, {FRONTEND}",
        allowed_headers="X-Of-Ours",
    ) as running:
        yield running

"""A server that soon finds what commands have appended to inboxes."""

from collections.abc import AsyncGenerator, Generator

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.support.clients import http_client
from tests.support.serving import Server, running_server


@pytest.fixture(scope="session")
def server(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    folder = tmp_path_factory.mktemp("acceptance")
    with running_server(
        folder,
        database_url=cluster.url(),
        session_cache_seconds="0",
        # A removal publishes no hints, so streams wait for the next check.
        inbox_check_seconds="0.1",
    ) as running:
        yield running


@pytest.fixture(scope="session")
async def http(server: Server) -> AsyncGenerator[httpx.AsyncClient]:
    async with http_client(server.url, limits=httpx.Limits(max_connections=None)) as client:
        yield client

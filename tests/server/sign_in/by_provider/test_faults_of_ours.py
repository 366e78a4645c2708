"""What users see when the server itself fails to sign them in."""

import json
from collections.abc import AsyncGenerator

import pytest

from db.embedded import Cluster
from tests.server.graphql.asking import log_lines
from tests.server.sign_in.by_provider.signing import SECRET_KEY, new_github_user, problem, viewer
from tests.support.browser import Browser
from tests.support.own_database import OwnDatabase
from tests.support.serving import Server, free_port, running_server
from tests.support.stand_ins import CLIENT_ID, CLIENT_SECRET, GitHubStandIn, served


@pytest.fixture(scope="module")
async def own_database(cluster: Cluster) -> OwnDatabase:
    return await OwnDatabase.create(cluster)


@pytest.fixture(scope="module")
async def own_server(
    own_database: OwnDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Server]:
    with (
        served(GitHubStandIn(new_github_user()).app()) as github_url,
        running_server(
            tmp_path_factory.mktemp("own"),
            database_url=own_database.url,
            port=str(free_port()),
            secret_key=SECRET_KEY,
            github_url=github_url,
            github_client_id=CLIENT_ID,
            github_client_secret=CLIENT_SECRET,
        ) as running,
    ):
        yield running


async def test_an_internal_error_is_a_page_with_the_logged_request_id(
    browser: Browser, own_server: Server, own_database: OwnDatabase
):
    login = f"http://localhost:{own_server.port}/auth/github/login"
    async with own_database.without("identities"):
        page = await browser.goes_to(login)
    assert problem(page, 500) == "Something went wrong"
    request_id = page.headers["x-request-id"]
    assert request_id in page.text
    assert "identities" not in page.text
    fault = next(line for line in await log_lines(own_server, request_id) if line["level"] == "error")
    assert "UndefinedTableError" in json.dumps(fault["exception"])
    await browser.goes_to(login)
    assert await viewer(browser.http, own_server.url.replace("127.0.0.1", "localhost")) is not None


async def test_without_its_database_the_server_asks_to_retry(
    browser: Browser, own_server: Server, own_database: OwnDatabase
):
    async with own_database.away():
        page = await browser.goes_to(f"http://localhost:{own_server.port}/auth/github/login")
    assert problem(page, 503) == "Sign-in is temporarily unavailable"
    assert 'href="/auth/github/login?' in page.text
    # Reloading the page retries as well.
    await browser.goes_to(str(page.url))
    assert await viewer(browser.http, f"http://localhost:{own_server.port}") is not None

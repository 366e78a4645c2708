"""One server for all tests of signing in with a provider; each test creates its own users."""

from collections.abc import AsyncGenerator, Generator

import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.server.sign_in.by_provider.signing import (
    FRONTEND,
    SECRET_KEY,
    SIGNED_IN,
    Signing,
    new_github_user,
)
from tests.support.browser import Browser
from tests.support.serving import free_port, running_server
from tests.support.stand_ins import CLIENT_ID, CLIENT_SECRET, GitHubStandIn, Issuer, served


@pytest.fixture(scope="package")
def signing(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Signing]:
    github, issuer = GitHubStandIn(), Issuer()
    with served(github.app()) as github_url, served(issuer.app()) as issuer.url:
        port = free_port()
        with running_server(
            tmp_path_factory.mktemp("signing"),
            database_url=cluster.url(),
            port=str(port),
            secret_key=SECRET_KEY,
            allowed_origins=FRONTEND,
            redirect_uris=f"{SIGNED_IN}, {SIGNED_IN}?from=login",
            github_url=github_url,
            github_client_id=CLIENT_ID,
            github_client_secret=CLIENT_SECRET,
            oidc_issuer=issuer.url,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=CLIENT_SECRET,
            oidc_name="The <b>Team</b> & Co.",
        ) as server:
            yield Signing(server, f"http://localhost:{port}", github, issuer)


@pytest.fixture
def github(signing: Signing) -> Generator[GitHubStandIn]:
    """GitHub, with a new user signed in there."""
    stand_in = signing.github
    stand_in.user = new_github_user()
    yield stand_in
    stand_in.denies = stand_in.is_down = stand_in.forgets_codes = False


@pytest.fixture
def issuer(signing: Signing) -> Generator[Issuer]:
    yield signing.issuer
    signing.issuer.behave()


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    browser = Browser()
    async with browser.http:
        yield browser

"""Which requests count as sign-ins of an address: not those that any site can make a browser send."""

from collections.abc import Generator

import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.server.sign_in.by_provider.signing import SECRET_KEY, new_github_user, pending_cookies, problem
from tests.support.browser import Browser
from tests.support.clients import http_client
from tests.support.serving import free_port, running_server
from tests.support.stand_ins import CLIENT_ID, CLIENT_SECRET, GitHubStandIn, served

CROSS_SITE = {"origin": "https://evil.example", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
VISIT = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}


@pytest.fixture
def counting(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[str]:
    """Yield the URL of a server that allows two sign-ins per minute and address."""
    port = free_port()
    with (
        served(GitHubStandIn(new_github_user()).app()) as github_url,
        running_server(
            tmp_path_factory.mktemp("counting"),
            database_url=cluster.url(),
            port=str(port),
            secret_key=SECRET_KEY,
            github_url=github_url,
            github_client_id=CLIENT_ID,
            github_client_secret=CLIENT_SECRET,
            rate_limits="on",
            sign_ins_per_minute_per_address="2",
        ),
    ):
        yield f"http://localhost:{port}"


async def test_requests_from_other_sites_do_not_count_as_sign_ins(counting: str, browser: Browser):
    callback, login = "/auth/github/callback?code=c&state=s", "/auth/github/login"
    async with http_client(counting) as visitor:
        for _ in range(3):
            for path in ("/auth/refresh", "/auth/token", "/auth/dev/login"):
                assert (await visitor.post(path, headers=CROSS_SITE)).status_code == 403
            # Without a token, the server queries nothing.
            assert (await visitor.post("/auth/refresh")).status_code == 401
            assert (await visitor.get(login, headers=CROSS_SITE)).status_code == 400
            assert (await visitor.get(callback, headers=CROSS_SITE)).status_code == 400
            assert (await visitor.get(callback, headers=VISIT)).status_code == 400
            strange = {**VISIT, "cookie": "messenger-sign-in-0=x; messenger-session=wrong"}
            assert (await visitor.get(callback, headers=strange)).status_code == 400
            assert (await visitor.get(login, headers=VISIT)).status_code == 303
    address = f"{counting}{login}?next=/health/live"
    for _ in range(2):
        assert (await browser.goes_to(address)).status_code == 200
    page = await browser.goes_to(address)
    assert problem(page, 429) == "Too many sign-ins"
    assert 1 <= int(page.headers["retry-after"]) <= 60
    # A pending sign-in can continue once there are fewer.
    assert len(pending_cookies(browser.http)) == 1

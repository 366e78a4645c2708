"""Signing in with GitHub, and its results."""

from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from sqlalchemy import func, select

from db.engine import Database
from db.tables import sessions
from tests.server.sign_in.by_provider.signing import Signing, new_github_user, viewer
from tests.support.browser import Browser
from tests.support.clients import http_client
from tests.support.serving import free_port, running_server
from tests.support.stand_ins import CLIENT_ID, CLIENT_SECRET, GitHubStandIn, served
from tests.support.tables import tables


async def test_a_user_signs_in_with_github(browser: Browser, signing: Signing, github: GitHubStandIn):
    page = await browser.goes_to(signing.login("github", next="/health/live"))
    assert str(page.url) == f"{signing.url}/health/live"
    assert await viewer(browser.http, signing.url) == {
        "username": github.user["login"],
        "avatarUrl": github.user["avatar_url"],
    }


async def test_signing_in_again_ends_the_browser_s_previous_session(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    await browser.goes_to(signing.login("github"))
    first = browser.http.cookies["messenger-session"]
    await browser.goes_to(signing.login("github"))
    second = browser.http.cookies["messenger-session"]
    async with http_client(headers={"sec-fetch-site": "same-origin"}) as http:
        query = {"query": "{ sessions { current } }"}
        answers = [
            (
                await http.post(
                    f"{signing.url}/graphql", json=query, headers={"authorization": f"Bearer {token}"}
                )
            )
            for token in (first, second)
        ]
    assert answers[0].json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert answers[1].json() == {"data": {"sessions": [{"current": True}]}}


async def test_a_user_who_was_renamed_at_github_is_the_same_user(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    await browser.goes_to(signing.login("github"))
    first = await viewer(browser.http, signing.url)
    github.user = {**github.user, "login": f"renamed-{uuid4().hex[:12]}"}
    await browser.goes_to(signing.login("github"))
    assert await viewer(browser.http, signing.url) == first


async def test_a_name_that_is_taken_gets_a_number(browser: Browser, signing: Signing, github: GitHubStandIn):
    await browser.goes_to(signing.login("github"))
    github.user = {**new_github_user(), "login": github.user["login"].upper(), "name": None}
    await browser.goes_to(signing.login("github"))
    named = await viewer(browser.http, signing.url)
    assert named is not None
    assert named["username"] == f"{github.user['login']}-2"


async def test_a_session_from_a_provider_is_a_session_like_any_other(
    browser: Browser, signing: Signing, github: GitHubStandIn, database: Database
):
    await browser.goes_to(signing.login("github"))
    token = browser.http.cookies["messenger-session"]
    async with tables(database) as connection:
        found = await connection.scalar(
            select(func.count())
            .select_from(sessions)
            .where(sessions.c.token_hash == sha256(token.encode()).hexdigest())
        )
    assert found == 1
    same_site = {"sec-fetch-site": "same-origin"}
    assert (await browser.http.post(f"{signing.url}/auth/logout", headers=same_site)).status_code == 204
    assert await viewer(browser.http, signing.url) is None


async def test_without_a_secret_key_a_private_one_is_generated_once(browser: Browser, tmp_path: Path):
    github = GitHubStandIn(new_github_user())
    with served(github.app()) as github_url:
        offered = {
            "github_url": github_url,
            "github_client_id": CLIENT_ID,
            "github_client_secret": CLIENT_SECRET,
        }
        port = free_port()
        with running_server(tmp_path, port=str(port), **offered):
            back = await browser.goes_to(
                f"http://localhost:{port}/auth/github/login?next=/health/live",
                stops_before="http://localhost",
            )
        key = tmp_path / ".messenger" / "secret.key"
        assert key.stat().st_mode & 0o777 == 0o600
        # A sign-in that is interrupted by a restart still succeeds.
        with running_server(tmp_path, port=str(port), **offered):
            assert (await browser.goes_to(back.headers["location"])).status_code == 200

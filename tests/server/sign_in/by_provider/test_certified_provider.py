"""Signing in with the code of a certified OpenID provider."""

import re
from collections.abc import Generator
from uuid import uuid4

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.server.sign_in.by_provider.signing import SECRET_KEY, pending_cookies, problem, viewer
from tests.support.browser import Browser
from tests.support.openid_provider import certified_provider
from tests.support.serving import free_port, running_server
from tests.support.stand_ins import CLIENT_ID, CLIENT_SECRET


@pytest.fixture(scope="module")
def certified(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[str]:
    """Yield the URL of a server whose users sign in with a certified OpenID provider."""
    port = free_port()
    with (
        certified_provider(f"http://localhost:{port}/auth/oidc/callback") as issuer,
        running_server(
            tmp_path_factory.mktemp("certified"),
            database_url=cluster.url(),
            port=str(port),
            secret_key=SECRET_KEY,
            oidc_issuer=issuer,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=CLIENT_SECRET,
        ),
    ):
        yield f"http://localhost:{port}"


async def sign_in_at_provider(browser: Browser, url: str, name: str) -> httpx.Response:
    page = await browser.goes_to(f"{url}/auth/oidc/login?next=/graphql%3Fquery%3D%7B__typename%7D")
    page = await browser.sends_form(page, login=name, password="any will do")
    return await browser.sends_form(page)


async def test_a_user_signs_in_with_a_certified_provider(browser: Browser, certified: str):
    name = f"ada-{uuid4().hex[:12]}"
    page = await sign_in_at_provider(browser, certified, name)
    assert str(page.url) == f"{certified}/graphql?query=%7B__typename%7D"
    assert page.json() == {"data": {"__typename": "Query"}}
    known = {"username": name, "avatarUrl": f"https://pictures.example/{name}.png"}
    assert await viewer(browser.http, certified) == known
    # The sign-in leaves no cookies behind, and a second one finds the same user.
    assert not pending_cookies(browser.http)
    browser.http.cookies.clear()
    assert await viewer(browser.http, certified) is None
    await sign_in_at_provider(browser, certified, name)
    assert await viewer(browser.http, certified) == known


async def test_a_user_without_a_name_at_the_provider_can_sign_in(browser: Browser, certified: str):
    await sign_in_at_provider(browser, certified, f"nameless-{uuid4().hex}")
    made = await viewer(browser.http, certified)
    assert made is not None
    assert made["username"].startswith("user")
    assert made["avatarUrl"] is None


async def test_a_user_who_declines_at_the_provider_sees_an_explanation(browser: Browser, certified: str):
    page = await browser.goes_to(f"{certified}/auth/oidc/login")
    [cancel] = re.findall(r'href="([^"]*/abort)"', page.text)
    page = await browser.goes_to(str(httpx.URL(str(page.url)).join(cancel)))
    assert problem(page, 403) == "You have not been signed in"
    assert await viewer(browser.http, certified) is None

"""Failures of a provider are explained to the user, and nothing is believed without proof."""

import hmac
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select, text

from db.embedded import Cluster
from db.engine import Database
from db.tables import identities, sessions, users
from tests.server.sign_in.by_provider.signing import SECRET_KEY, Signing, base64url, problem, viewer
from tests.support.browser import Browser
from tests.support.serving import free_port, running_server
from tests.support.stand_ins import CLIENT_ID, GitHubStandIn, Issuer, new_key, public_pem
from tests.support.tables import tables


async def test_failures_at_github_are_explained(browser: Browser, signing: Signing, github: GitHubStandIn):
    github.denies = True
    page = await browser.goes_to(signing.login("github", next="/health/live"))
    assert problem(page, 403) == "You have not been signed in"
    [again] = re.findall('href="(.*?)"', page.text)
    github.denies, github.forgets_codes = False, True
    assert (
        problem(await browser.goes_to(signing.login("github")), 400) == "GitHub did not confirm the sign-in"
    )
    github.forgets_codes, github.is_down = False, True
    assert problem(await browser.goes_to(signing.login("github")), 503) == "GitHub does not respond"
    assert await viewer(browser.http, signing.url) is None
    github.is_down = False
    page = await browser.goes_to(f"{signing.url}{again}")
    assert (page.status_code, urlsplit(str(page.url)).path) == (200, "/health/live")


async def test_a_provider_that_is_down_is_named(browser: Browser, cluster: Cluster, tmp_path: Path):
    with running_server(
        tmp_path,
        database_url=cluster.url(),
        secret_key=SECRET_KEY,
        oidc_issuer=f"http://127.0.0.1:{free_port()}",
        oidc_client_id=CLIENT_ID,
        oidc_name="<script>alert(1)</script>",
    ) as server:
        page = await browser.goes_to(f"{server.url}/auth/oidc/login")
        title = "&lt;script&gt;alert(1)&lt;/script&gt; does not respond"
        assert problem(page, 503) == title


async def test_a_provider_that_goes_down_during_a_sign_in_is_named_and_a_retry_succeeds(
    browser: Browser, signing: Signing, issuer: Issuer
):
    begun = signing.login("oidc", next="/health/live")
    back = await browser.goes_to(begun, stops_before=signing.url)
    issuer.is_down = True
    page = await browser.goes_to(back.headers["location"])
    assert problem(page, 503) == "The &lt;b&gt;Team&lt;/b&gt; &amp; Co. does not respond"
    assert await viewer(browser.http, signing.url) is None
    [again] = re.findall('href="(.*?)"', page.text)
    assert again == "/auth/oidc/login?next=%2Fhealth%2Flive"
    issuer.is_down = False
    # The code has not been used, so reloading the page is enough.
    page = await browser.goes_to(str(page.url))
    assert (page.status_code, page.url.path) == (200, "/health/live")
    assert await viewer(browser.http, signing.url) is not None


async def test_redirects_of_a_provider_are_not_followed(browser: Browser, signing: Signing, issuer: Issuer):
    """Otherwise it would receive the code, its verifier and our secret."""
    issuer.sends_elsewhere = True
    page = await browser.goes_to(signing.login("oidc"))
    assert page.status_code >= 400
    assert problem(page, page.status_code)
    assert issuer.asked_elsewhere == 0
    assert await viewer(browser.http, signing.url) is None


async def test_a_provider_with_an_internal_error_is_named(browser: Browser, signing: Signing, issuer: Issuer):
    issuer.response = {"error": "server_error", "error_description": "<b>Oops</b>"}
    page = await browser.goes_to(signing.login("oidc"))
    assert problem(page, 502) == "The &lt;b&gt;Team&lt;/b&gt; &amp; Co. could not sign you in"
    assert "Oops" not in page.text
    assert await viewer(browser.http, signing.url) is None


async def test_email_addresses_are_neither_required_nor_stored(
    browser: Browser, signing: Signing, github: GitHubStandIn, issuer: Issuer, database: Database
):
    for provider, scope in (("github", []), ("oidc", ["openid profile"])):
        there = (await browser.http.get(signing.login(provider))).headers["location"]
        assert parse_qs(urlsplit(there).query).get("scope", []) == scope
    # Neither has sent one: GitHub users can hide it, and most providers require a scope for it.
    assert "email" not in github.user
    await browser.goes_to(signing.login("github"))
    assert await viewer(browser.http, signing.url) is not None
    browser.http.cookies.clear()
    name, address = f"ada-{uuid4().hex[:12]}", f"{uuid4().hex}@example.com"
    issuer.claims = {"sub": name, "preferred_username": name, "email": address, "email_verified": True}
    await browser.goes_to(signing.login("oidc"))
    assert await viewer(browser.http, signing.url) == {"username": name, "avatarUrl": None}
    async with tables(database) as connection:
        for table in (users, identities, sessions):
            holding = text(f"SELECT count(*) FROM {table.name} AS t WHERE strpos(t::text, :address) > 0")
            assert await connection.scalar(holding, {"address": address}) == 0


async def test_a_provider_that_is_not_configured_is_explained(http: httpx.AsyncClient):
    for path in ("/auth/github/login", "/auth/oidc/callback"):
        assert problem(await http.get(path), 404) == "This way to sign in is not available"


def signed_with(key: Any, **header: Any) -> Callable[[Issuer], None]:
    def change(issuer: Issuer) -> None:
        issuer.signing_key, issuer.header = key, header

    return change


def claiming(**claims: Any) -> Callable[[Issuer], None]:
    def change(issuer: Issuer) -> None:
        issuer.claims = claims

    return change


def answering(**response: str) -> Callable[[Issuer], None]:
    def change(issuer: Issuer) -> None:
        issuer.response = response

    return change


def with_hmac_of_the_public_key(issuer: Issuer) -> None:
    password = public_pem(issuer)

    def resign(token: str) -> str:
        signed = f"{base64url(HS256)}.{token.split('.')[1]}"
        return f"{signed}.{base64url(hmac.digest(password, signed.encode(), 'sha256'))}"

    issuer.resign = resign


def unsigned(issuer: Issuer) -> None:
    issuer.resign = lambda token: f"{base64url(NONE)}.{token.split('.')[1]}."


def without_iss(issuer: Issuer) -> None:
    issuer.leaves_out = {"iss"}


def of_another_user_in_userinfo(issuer: Issuer) -> None:
    issuer.claims = {"preferred_username": None}
    issuer.userinfo = {"sub": "grace", "name": "Grace"}


HS256, NONE = b'{"alg":"HS256"}', b'{"alg":"none"}'
LONG_AGO = 1_000_000_000
FAR_AHEAD = 100_000_000_000


@pytest.mark.parametrize(
    "misbehave",
    [
        pytest.param(signed_with(new_key()), id="signed with another key under the same name"),
        pytest.param(with_hmac_of_the_public_key, id="signed with the public key as a password"),
        pytest.param(unsigned, id="not signed"),
        pytest.param(claiming(iss="https://evil.example"), id="of another issuer"),
        pytest.param(claiming(aud="another"), id="for another audience"),
        pytest.param(claiming(aud="another", azp=CLIENT_ID), id="for another audience, authorized for us"),
        pytest.param(claiming(aud=None), id="without an audience"),
        pytest.param(claiming(aud=[CLIENT_ID, "another"]), id="for several audiences without azp"),
        pytest.param(claiming(azp="another"), id="made for another client"),
        pytest.param(claiming(exp=LONG_AGO), id="expired"),
        pytest.param(claiming(exp=None), id="without an end"),
        pytest.param(claiming(iat=FAR_AHEAD), id="of the future"),
        pytest.param(claiming(nonce="another"), id="of another sign-in"),
        pytest.param(claiming(nonce=None), id="of no sign-in"),
        pytest.param(claiming(at_hash="AAAAAAAAAAAAAAAAAAAAAA"), id="of another access token"),
        pytest.param(claiming(sub=None), id="without a subject"),
        pytest.param(claiming(sub=""), id="with an empty subject"),
        pytest.param(claiming(sub="x" * 256, name="Ada"), id="about a name too long to keep"),
        pytest.param(of_another_user_in_userinfo, id="with the profile of another user"),
        pytest.param(answering(iss="https://evil.example"), id="an answer of another issuer"),
        pytest.param(answering(iss="https://evil.example", error="access_denied"), id="an error of another"),
        pytest.param(without_iss, id="an answer without iss"),
    ],
)
async def test_an_id_token_that_fails_validation_is_rejected(
    browser: Browser,
    signing: Signing,
    issuer: Issuer,
    database: Database,
    misbehave: Callable[[Issuer], None],
):
    async with tables(database) as connection:
        count = await connection.scalar(select(func.count()).select_from(users))
    misbehave(issuer)
    page = await browser.goes_to(signing.login("oidc"))
    assert problem(page, 502) == "This sign-in could not be verified"
    assert "The &lt;b&gt;Team&lt;/b&gt; &amp; Co." in page.text
    assert await viewer(browser.http, signing.url) is None
    async with tables(database) as connection:
        assert await connection.scalar(select(func.count()).select_from(users)) == count


async def test_the_same_provider_with_a_valid_token_signs_in(
    browser: Browser, signing: Signing, issuer: Issuer
):
    """The previous test fails because of its changes, and for no other reason."""
    subject, name = uuid4().hex, f"grace-{uuid4().hex[:12]}"
    issuer.claims = {"sub": subject, "preferred_username": f"{name}@example.com", "picture": "http://x/y.png"}
    issuer.header = {"x-unknown": "does no harm"}
    await browser.goes_to(signing.login("oidc"))
    # Only the part of the address before the @ is used, and pictures over plain HTTP are not.
    assert await viewer(browser.http, signing.url) == {"username": name, "avatarUrl": None}


async def test_a_provider_can_rotate_its_keys(browser: Browser, signing: Signing, issuer: Issuer):
    await browser.goes_to(signing.login("oidc"))
    issuer.keys = [new_key()]
    named = f"Rotated {uuid4().hex[:12]}"
    issuer.claims = {"sub": uuid4().hex, "preferred_username": None, "name": named}
    await browser.goes_to(signing.login("oidc"))
    found = await viewer(browser.http, signing.url)
    assert found is not None
    assert found["username"] == named.replace(" ", "-")

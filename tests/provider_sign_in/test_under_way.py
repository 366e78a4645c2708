"""What is remembered while somebody is at the provider, and what is taken for the way back."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from server.secret_key import Seal
from tests.browser import Browser
from tests.provider_sign_in.signing import PENDING, SECRET_KEY, Signing, challenge_of, problem, viewer
from tests.stand_ins import CLIENT_SECRET, GitHubStandIn


async def test_what_is_remembered_of_a_sign_in_is_sealed_and_out_of_reach(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    response = await browser.http.get(signing.login("github", next="/health/live"))
    assert (response.status_code, response.headers["cache-control"]) == (303, "no-store")
    [cookie] = response.headers.get_list("set-cookie")
    assert cookie.startswith(f"{PENDING}=")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
        "httponly", "samesite=lax", "path=/", "max-age=600",
    }  # fmt: skip
    sent = {name: value for name, [value] in parse_qs(urlsplit(response.headers["location"]).query).items()}
    assert sent["redirect_uri"] == f"{signing.url}/auth/github/callback"
    assert sent["code_challenge_method"] == "S256"
    pending = Seal(SECRET_KEY.encode(), "sign-in under way").open(browser.http.cookies[PENDING])
    assert pending is not None
    kept = pending["secrets"]
    assert sent["state"] == kept["state"]
    assert sent["code_challenge"] == challenge_of(kept["code_verifier"])
    assert kept["code_verifier"] not in response.headers["location"]
    landed = await browser.goes_to(response.headers["location"])
    assert landed.status_code == 200
    log = signing.server.log_path.read_text()
    for secret in (*kept.values(), CLIENT_SECRET, SECRET_KEY, browser.http.cookies["messenger-session"]):
        assert secret not in log


def tampered(cookie: str) -> str:
    head, _, tail = cookie.rpartition(".")
    return f"{head}.{'A' if tail[0] != 'A' else 'B'}{tail[1:]}"


def aged(cookie: str) -> str:
    seal = Seal(SECRET_KEY.encode(), "sign-in under way")
    value = seal.open(cookie)
    assert value is not None
    return seal.close(value, 0)


def empty(cookie: str) -> str:
    return ""


def nonsense(cookie: str) -> str:
    return "a.b.c.d.e"


def of_another_key(cookie: str) -> str:
    value = Seal(SECRET_KEY.encode(), "sign-in under way").open(cookie)
    assert value is not None
    return Seal(b"another", "sign-in under way").close(value, 600)


@pytest.mark.parametrize("changed", [tampered, aged, of_another_key, empty, nonsense])
async def test_a_sign_in_that_is_not_under_way_here_signs_nobody_in(
    browser: Browser, signing: Signing, github: GitHubStandIn, changed: Callable[[str], str]
):
    at_github = await browser.http.get(signing.login("github"))
    cookie = changed(browser.http.cookies[PENDING])
    browser.http.cookies.clear()
    back = await browser.http.get(at_github.headers["location"])
    page = await browser.http.get(back.headers["location"], headers={"cookie": f"{PENDING}={cookie}"})
    assert problem(page, 400) == "This sign-in has expired"
    assert "set-cookie" not in page.headers or "messenger-session" not in page.headers["set-cookie"]
    assert await viewer(browser.http, signing.url) is None


async def test_a_callback_that_this_browser_did_not_begin_signs_nobody_in(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    """Somebody's own finished sign-in, sent to another as a link, would make them write under that name."""
    theirs = await browser.goes_to(signing.login("github"), stops_before=signing.url)
    link = theirs.headers["location"]
    browser.http.cookies.clear()
    await browser.http.get(signing.login("github"))
    assert problem(await browser.goes_to(link), 400) == "This sign-in has expired"
    # Nor is an answer of one provider taken for another's.
    own = await browser.goes_to(signing.login("github"), stops_before=signing.url)
    crossed = own.headers["location"].replace("/auth/github/", "/auth/oidc/")
    assert problem(await browser.goes_to(crossed), 400) == "This sign-in has expired"
    assert await viewer(browser.http, signing.url) is None


async def test_a_callback_is_good_once(browser: Browser, signing: Signing, github: GitHubStandIn):
    back = await browser.goes_to(signing.login("github", next="/health/live"), stops_before=signing.url)
    assert (await browser.goes_to(back.headers["location"])).status_code == 200
    assert problem(await browser.goes_to(back.headers["location"]), 400) == "This sign-in has expired"

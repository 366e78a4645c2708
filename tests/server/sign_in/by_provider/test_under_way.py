"""The state of pending sign-ins, and which callbacks are accepted."""

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from server.sign_in.seal import Seal
from tests.server.sign_in.by_provider.signing import (
    PENDING,
    SECRET_KEY,
    Signing,
    base64url,
    challenge_of,
    pending_cookies,
    problem,
    viewer,
)
from tests.support.browser import Browser
from tests.support.clients import http_client
from tests.support.stand_ins import CLIENT_SECRET, GitHubStandIn, Issuer


async def test_the_state_of_a_sign_in_is_sealed_and_hidden_from_scripts(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    response = await browser.http.get(signing.login("github", next="/health/live"))
    assert (response.status_code, response.headers["cache-control"]) == (303, "no-store")
    [cookie] = response.headers.get_list("set-cookie")
    assert cookie.startswith(PENDING)
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
        "httponly", "samesite=lax", "path=/", "max-age=600",
    }  # fmt: skip
    sent = {name: value for name, [value] in parse_qs(urlsplit(response.headers["location"]).query).items()}
    assert sent["redirect_uri"] == f"{signing.url}/auth/github/callback"
    assert sent["code_challenge_method"] == "S256"
    [value] = pending_cookies(browser.http).values()
    pending = Seal(SECRET_KEY.encode(), "sign-in under way").open(value)
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
async def test_a_callback_without_a_valid_pending_sign_in_is_rejected(
    browser: Browser, signing: Signing, github: GitHubStandIn, changed: Callable[[str], str]
):
    at_github = await browser.http.get(signing.login("github"))
    [(name, value)] = pending_cookies(browser.http).items()
    cookie = changed(value)
    browser.http.cookies.clear()
    back = await browser.http.get(at_github.headers["location"])
    page = await browser.http.get(back.headers["location"], headers={"cookie": f"{name}={cookie}"})
    assert problem(page, 400) == "This sign-in has expired"
    assert "set-cookie" not in page.headers or "messenger-session" not in page.headers["set-cookie"]
    assert await viewer(browser.http, signing.url) is None


async def test_a_callback_started_by_another_browser_is_rejected(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    """A link to an attacker's own sign-in would otherwise make others write under the attacker's name."""
    theirs = await browser.goes_to(signing.login("github"), stops_before=signing.url)
    link = theirs.headers["location"]
    browser.http.cookies.clear()
    await browser.http.get(signing.login("github"))
    assert problem(await browser.goes_to(link), 400) == "This sign-in has expired"
    # An answer of one provider is not accepted as another's either.
    own = await browser.goes_to(signing.login("github"), stops_before=signing.url)
    crossed = own.headers["location"].replace("/auth/github/", "/auth/oidc/")
    assert problem(await browser.goes_to(crossed), 400) == "This sign-in has expired"
    assert await viewer(browser.http, signing.url) is None


def with_another_header(**header: object) -> Callable[[str], str]:
    def change(cookie: str) -> str:
        return ".".join([base64url(json.dumps(header).encode()), *cookie.split(".")[1:]])

    return change


def with_a_head_that_is_not_ascii(cookie: str) -> str:
    return f"é.{cookie.partition('.')[2]}"


def cut_short(cookie: str) -> str:
    return cookie.partition(".")[0]


def with_a_part_too_many(cookie: str) -> str:
    return f"{cookie}.x"


@pytest.mark.parametrize(
    "changed",
    [
        with_another_header(alg="dir", enc=["A256GCM"]),
        with_another_header(alg=["dir"], enc="A256GCM"),
        with_another_header(alg={}, enc=None),
        with_another_header(alg="dir", enc="A256GCM", zip="DEF"),
        with_another_header(alg="dir", enc="A256GCM", crit=1),
        with_another_header(alg="RSA-OAEP", enc="A256GCM"),
        with_another_header(),
        with_a_head_that_is_not_ascii,
        cut_short,
        with_a_part_too_many,
    ],
)
async def test_a_malformed_cookie_is_treated_as_an_expired_sign_in(
    browser: Browser, signing: Signing, github: GitHubStandIn, changed: Callable[[str], str]
):
    at_github = await browser.http.get(signing.login("github"))
    back = await browser.http.get(at_github.headers["location"])
    [(name, value)] = pending_cookies(browser.http).items()
    cookie = f"{name}={changed(value)}".encode("latin-1")
    browser.http.cookies.clear()
    page = await browser.http.get(back.headers["location"], headers={b"cookie": cookie})
    assert problem(page, 400) == "This sign-in has expired"


async def test_reloading_a_callback_leads_to_the_app(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    back = await browser.goes_to(signing.login("github", next="/health/live"), stops_before=signing.url)
    assert (await browser.goes_to(back.headers["location"])).status_code == 200
    token = browser.http.cookies["messenger-session"]
    again = await browser.http.get(back.headers["location"])
    assert (again.status_code, again.headers["location"]) == (303, "/")
    assert browser.http.cookies["messenger-session"] == token
    # A user who has signed out meanwhile is not signed in by it.
    await browser.http.post(f"{signing.url}/auth/logout", headers={"sec-fetch-site": "same-origin"})
    browser.http.cookies.set("theme", "dark")
    assert problem(await browser.goes_to(back.headers["location"]), 400) == "This sign-in has expired"


async def test_reloading_a_callback_whose_answer_was_lost_signs_in(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    back = await browser.goes_to(signing.login("github", next="/health/live"), stops_before=signing.url)
    async with http_client() as lost:
        answer = await lost.get(back.headers["location"], headers={"cookie": cookie_header(browser.http)})
        assert answer.status_code == 303
    page = await browser.goes_to(back.headers["location"])
    assert (page.status_code, page.url.path) == (200, "/health/live")
    found = await viewer(browser.http, signing.url)
    assert found is not None
    assert found["username"] == github.user["login"]
    assert not pending_cookies(browser.http)


async def test_sign_ins_in_two_tabs_succeed_in_any_order(
    browser: Browser, signing: Signing, github: GitHubStandIn, issuer: Issuer
):
    begun = [
        await browser.goes_to(
            signing.login(provider, next=f"/health/live?{number}"), stops_before=signing.url
        )
        for number, provider in enumerate(["github", "oidc", "github"])
    ]
    assert len(pending_cookies(browser.http)) == 3
    for number, left in ((2, 2), (0, 1), (1, 0)):
        page = await browser.goes_to(begun[number].headers["location"])
        assert (page.status_code, page.url.query) == (200, str(number).encode())
        assert len(pending_cookies(browser.http)) == left


async def test_a_browser_keeps_a_few_of_the_newest_pending_sign_ins(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    begun = [await browser.goes_to(signing.login("github"), stops_before=signing.url) for _ in range(12)]
    kept = pending_cookies(browser.http)
    assert 2 <= len(kept) <= 5
    assert sum(len(name) + len(value) for name, value in kept.items()) <= 4000
    browser.http.cookies.set("theme", "dark")
    assert problem(await browser.goes_to(begun[0].headers["location"]), 400) == "This sign-in has expired"
    assert (await browser.http.get(begun[-2].headers["location"])).status_code == 303
    assert (await browser.http.get(begun[-1].headers["location"])).status_code == 303
    # Fewer fit if their addresses are long, and one that no browser would keep is rejected.
    browser.http.cookies.clear()
    for _ in range(6):
        await browser.http.get(signing.login("github", next="/" + "x" * 1500))
    kept = pending_cookies(browser.http)
    assert sum(len(name) + len(value) for name, value in kept.items()) <= 4000
    refused = await browser.http.get(signing.login("github", next="/" + "é" * 1900))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "BAD_USER_INPUT")


async def test_a_browser_without_cookies_sees_that_they_are_required(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    back = await browser.goes_to(signing.login("github"), stops_before=signing.url)
    browser.http.cookies.clear()
    page = await browser.goes_to(back.headers["location"])
    assert problem(page, 400) == "Your browser sent no cookies"
    assert 'href="/auth/github/login"' in page.text


LOOKING_AHEAD = [
    {"sec-purpose": "prefetch"},
    {"sec-purpose": "prefetch;prerender"},
    {"purpose": "prefetch"},
    {"x-moz": "prefetch"},
]


@pytest.mark.parametrize("headers", LOOKING_AHEAD, ids=str)
async def test_a_prefetch_neither_starts_nor_completes_a_sign_in(
    browser: Browser, signing: Signing, github: GitHubStandIn, headers: dict[str, str]
):
    begun = await browser.http.get(signing.login("github"), headers=headers)
    assert (begun.status_code, begun.headers.get_list("set-cookie")) == (400, [])
    back = await browser.goes_to(signing.login("github", next="/health/live"), stops_before=signing.url)
    ended = await browser.http.get(back.headers["location"], headers=headers)
    assert (ended.status_code, ended.headers.get_list("set-cookie")) == (400, [])
    assert (await browser.goes_to(back.headers["location"])).status_code == 200
    assert await viewer(browser.http, signing.url) is not None


async def test_head_neither_starts_nor_completes_a_sign_in(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    begun = await browser.http.head(signing.login("github"))
    assert (begun.status_code, begun.headers["allow"], begun.headers.get_list("set-cookie")) == (
        405,
        "GET",
        [],
    )
    back = await browser.goes_to(signing.login("github", next="/health/live"), stops_before=signing.url)
    ended = await browser.http.head(back.headers["location"])
    assert (ended.status_code, ended.headers.get_list("set-cookie")) == (405, [])
    assert (await browser.goes_to(back.headers["location"])).status_code == 200
    assert await viewer(browser.http, signing.url) is not None


def cookie_header(http: httpx.AsyncClient) -> str:
    return "; ".join(f"{name}={value}" for name, value in http.cookies.items())

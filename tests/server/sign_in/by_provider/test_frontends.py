"""Frontends on other origins: where they may be, and their one-time codes."""

import secrets
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import func, select, update

from db.engine import Database
from db.tables import sign_in_codes
from tests.server.sign_in.by_provider.signing import FRONTEND, SIGNED_IN, Signing, challenge_of, viewer
from tests.support.browser import Browser
from tests.support.clients import http_client
from tests.support.stand_ins import GitHubStandIn
from tests.support.tables import tables


@pytest.mark.parametrize(
    "following",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/\t/evil.example",
     "evil", "", "/" + "x" * 2000, "/\n"],
)  # fmt: skip
async def test_sign_in_never_redirects_to_another_site(browser: Browser, signing: Signing, following: str):
    response = await browser.http.get(signing.login("github", next=following))
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BAD_USER_INPUT")
    assert "location" not in response.headers


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": f"{FRONTEND}.evil.example/"},
        {"redirect_uri": f"{FRONTEND}@evil.example/"},
        {"redirect_uri": "http://app.example.com/"},
        {"redirect_uri": f"{FRONTEND}/#x"},
        {"redirect_uri": f"{SIGNED_IN}#x"},
        {"redirect_uri": f"{FRONTEND}/leave?to=https://evil.example"},
        {"redirect_uri": f"{FRONTEND}/"},
        {"redirect_uri": f"{SIGNED_IN}/"},
        {"redirect_uri": f"{SIGNED_IN}?code=another"},
        {"redirect_uri": f"{SIGNED_IN}?from=login&to=https://evil.example"},
        {"redirect_uri": f"{FRONTEND}/other/../signed-in"},
        {"redirect_uri": f"{FRONTEND}/signed%2din"},
        {"redirect_uri": f"{FRONTEND}:443/signed-in"},
        {"redirect_uri": "https://APP.example.com/signed-in"},
        {"redirect_uri": ""},
        {"redirect_uri": f"{FRONTEND}\\@evil.example/"},
        {"redirect_uri": "https://["},
        {"code_challenge": "short"},
        {"code_challenge": "+" * 43},
        {"code_challenge_method": "plain"},
        {"state": "x" * 501},
    ],
    ids=str,
)
async def test_a_frontend_needs_its_exact_address_and_a_challenge_to_get_a_code(
    browser: Browser, signing: Signing, change: dict[str, str]
):
    good = {
        "redirect_uri": SIGNED_IN,
        "code_challenge": challenge_of("x" * 43),
        "code_challenge_method": "S256",
    }
    assert (await browser.http.get(signing.login("github", **good))).status_code == 303
    response = await browser.http.get(signing.login("github", **{**good, **change}))
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BAD_USER_INPUT")


async def code_for_frontend(browser: Browser, signing: Signing, verifier: str, **more: str) -> str:
    """Sign in from the frontend; return the address of its callback."""
    asked = {
        "redirect_uri": SIGNED_IN,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        **more,
    }
    response = await browser.goes_to(signing.login("github", **asked), stops_before=FRONTEND)
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "messenger-session" not in response.headers.get("set-cookie", "")
    return response.headers["location"]


async def exchanged(signing: Signing, **body: object) -> httpx.Response:
    async with http_client(signing.url) as http:
        return await http.post("/auth/token", json=body, headers={"origin": FRONTEND})


async def test_a_frontend_of_another_origin_exchanges_a_code_for_a_token(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    verifier = secrets.token_urlsafe(32)
    address = await code_for_frontend(
        browser, signing, verifier, redirect_uri=f"{SIGNED_IN}?from=login", state="its own & more"
    )
    parts = urlsplit(address)
    brought = {name: value for name, [value] in parse_qs(parts.query).items()}
    assert parts.path == "/signed-in"
    assert set(brought) == {"from", "code", "state"}
    assert (brought["from"], brought["state"]) == ("login", "its own & more")
    answer = await exchanged(signing, code=brought["code"], code_verifier=verifier)
    assert answer.status_code == 200, answer.text
    assert answer.headers["access-control-allow-origin"] == FRONTEND
    assert set(answer.json()) == {"token", "expiresAt", "user"}
    async with http_client() as http:
        found = await viewer(http, signing.url, answer.json()["token"])
    assert found is not None
    assert found["username"] == github.user["login"]
    again = await exchanged(signing, code=brought["code"], code_verifier=verifier)
    assert (again.status_code, again.json()["error"]["code"]) == (400, "CODE_INVALID")


async def test_a_code_with_a_wrong_verifier_is_rejected_and_used_up(
    browser: Browser, signing: Signing, github: GitHubStandIn, database: Database
):
    verifier = secrets.token_urlsafe(32)
    [code] = parse_qs(urlsplit(await code_for_frontend(browser, signing, verifier)).query)["code"]
    async with tables(database) as connection:
        [kept] = await connection.execute(
            select(sign_in_codes).where(sign_in_codes.c.code_challenge == challenge_of(verifier))
        )
    assert code not in map(str, kept)
    for tried in (secrets.token_urlsafe(32), verifier):
        answer = await exchanged(signing, code=code, code_verifier=tried)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "CODE_INVALID")


async def test_an_unused_code_expires_within_a_minute(
    browser: Browser, signing: Signing, github: GitHubStandIn, database: Database
):
    verifier = secrets.token_urlsafe(32)
    [code] = parse_qs(urlsplit(await code_for_frontend(browser, signing, verifier)).query)["code"]
    mine = sign_in_codes.c.code_challenge == challenge_of(verifier)
    async with tables(database) as connection:
        lasts = await connection.scalar(select(sign_in_codes.c.expires_at - func.now()).where(mine))
        assert lasts is not None
        assert 0 < lasts.total_seconds() <= 60
        await connection.execute(update(sign_in_codes).where(mine).values(expires_at=func.now()))
    assert (await exchanged(signing, code=code, code_verifier=verifier)).json()["error"][
        "code"
    ] == "CODE_INVALID"


@pytest.mark.parametrize(
    "body",
    [{}, {"code": "x"}, {"code": 1, "code_verifier": "x" * 43}, {"code": "x", "code_verifier": "short"},
     {"code": "é", "code_verifier": "x" * 43}, {"code": "x", "code_verifier": "é" * 43}],
    ids=str,
)  # fmt: skip
async def test_a_malformed_exchange_is_rejected(signing: Signing, body: dict[str, object]):
    answer = await exchanged(signing, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_USER_INPUT")


async def test_a_page_of_another_site_cannot_exchange_a_code(signing: Signing):
    async with http_client(signing.url) as http:
        body = {"code": "x", "code_verifier": "x" * 43}
        answer = await http.post("/auth/token", json=body, headers={"origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CROSS_SITE")


async def test_a_script_cannot_start_a_sign_in(signing: Signing):
    async with http_client() as http:
        answer = await http.get(signing.login("github"), headers={"sec-fetch-mode": "no-cors"})
    assert answer.status_code == 400


async def test_frontends_can_list_the_sign_in_providers(signing: Signing, http: httpx.AsyncClient):
    offered = (await http.get(f"{signing.url}/auth/providers")).json()
    assert offered == {
        "providers": [
            {"id": "github", "name": "GitHub", "loginUrl": f"{signing.url}/auth/github/login"},
            {"id": "oidc", "name": "The <b>Team</b> & Co.", "loginUrl": f"{signing.url}/auth/oidc/login"},
        ],
        "devLogin": True,
    }
    assert (await http.get("/auth/providers")).json() == {"providers": [], "devLogin": True}

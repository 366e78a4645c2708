"""Signing in with a provider: walked as a browser does, and everything that may go wrong there."""

import asyncio
import hmac
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from db.embedded import Cluster
from db.engine import Database
from db.tables import sessions, sign_in_codes, users
from resolvers.identities import Profile, SubjectRefused, possible_usernames, user_for
from resolvers.users import is_username
from server.secret_key import Seal
from tests.browser import Browser
from tests.serving import Server, running_server
from tests.stand_ins import CLIENT_ID, CLIENT_SECRET, GitHubStandIn, Issuer, new_key, public_pem, served

PROVIDER = Path(__file__).parent / "oidc-provider"
# The system's, or where it has none the one that the build has brought.
NODE = shutil.which("node") or str(Path(sys.executable).parent / "node")
FRONTEND = "https://app.example.com"
SECRET_KEY = "a key for the tests, long enough to be one"
PENDING = "messenger-sign-in"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Signing:
    """A server that offers sign-in, and who it asks."""

    server: Server
    url: str
    github: GitHubStandIn
    issuer: Issuer

    def login(self, provider: str, **parameters: str) -> str:
        return f"{self.url}/auth/{provider}/login?{urlencode(parameters)}"


@pytest.fixture(scope="module")
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
    """GitHub, where somebody new is signed in."""
    stand_in = signing.github
    stand_in.user = somebody_at_github()
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


def somebody_at_github() -> dict[str, Any]:
    login = f"Octocat-{uuid4().hex[:12]}"
    return {
        "id": secrets.randbelow(2**40),
        "login": login,
        "name": "Mona Octocat",
        "avatar_url": f"https://avatars.githubusercontent.com/{login}?v=4",
    }


async def viewer(http: httpx.AsyncClient, url: str, token: str | None = None) -> dict[str, Any] | None:
    headers = {"sec-fetch-site": "same-origin"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    query = {"query": "{ viewer { username avatarUrl } }"}
    return (await http.post(f"{url}/graphql", json=query, headers=headers)).json()["data"]["viewer"]


def problem(page: httpx.Response, status: int) -> str:
    """Return the title of a page that says what went wrong, which is one that nothing can hide in."""
    assert page.status_code == status, page.text
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert "<html lang=" in page.text
    assert "<script" not in page.text
    [title] = re.findall("<h1>(.*?)</h1>", page.text)
    return title


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def challenge_of(verifier: str) -> str:
    return base64url(sha256(verifier.encode()).digest())


@pytest.fixture(scope="module")
def certified(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[str]:
    """Yield the URL of a server whose people are those of a certified OpenID provider."""
    port = free_port()
    environment = {
        **os.environ,
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "REDIRECT_URI": f"http://localhost:{port}/auth/oidc/callback",
    }
    provider = subprocess.Popen(
        [NODE, "provider.mjs"],
        cwd=PROVIDER,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert provider.stdout is not None
        issuer = provider.stdout.readline().decode().strip()
        assert issuer, "the provider does not start"
        with running_server(
            tmp_path_factory.mktemp("certified"),
            database_url=cluster.url(),
            port=str(port),
            secret_key=SECRET_KEY,
            oidc_issuer=issuer,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=CLIENT_SECRET,
        ):
            yield f"http://localhost:{port}"
    finally:
        provider.kill()
        provider.communicate()


async def sign_in_at_provider(browser: Browser, url: str, name: str) -> httpx.Response:
    page = await browser.goes_to(f"{url}/auth/oidc/login?next=/graphql%3Fquery%3D%7B__typename%7D")
    page = await browser.sends_form(page, login=name, password="any will do")
    return await browser.sends_form(page)


async def test_somebody_signs_in_with_a_certified_provider(browser: Browser, certified: str):
    name = f"ada-{uuid4().hex[:12]}"
    page = await sign_in_at_provider(browser, certified, name)
    assert str(page.url) == f"{certified}/graphql?query=%7B__typename%7D"
    assert page.json() == {"data": {"__typename": "Query"}}
    known = {"username": name, "avatarUrl": f"https://pictures.example/{name}.png"}
    assert await viewer(browser.http, certified) == known
    # Nothing of the sign-in stays behind, and a second one finds the same user.
    assert PENDING not in browser.http.cookies
    browser.http.cookies.clear()
    assert await viewer(browser.http, certified) is None
    await sign_in_at_provider(browser, certified, name)
    assert await viewer(browser.http, certified) == known


async def test_a_provider_that_tells_no_name_still_signs_people_in(browser: Browser, certified: str):
    await sign_in_at_provider(browser, certified, f"nameless-{uuid4().hex}")
    made = await viewer(browser.http, certified)
    assert made is not None
    assert made["username"].startswith("user")
    assert made["avatarUrl"] is None


async def test_somebody_who_says_no_at_the_provider_is_told_so(browser: Browser, certified: str):
    page = await browser.goes_to(f"{certified}/auth/oidc/login")
    [cancel] = re.findall(r'href="([^"]*/abort)"', page.text)
    page = await browser.goes_to(str(httpx.URL(str(page.url)).join(cancel)))
    assert problem(page, 403) == "You have not been signed in"
    assert await viewer(browser.http, certified) is None


async def test_somebody_signs_in_with_github(browser: Browser, signing: Signing, github: GitHubStandIn):
    page = await browser.goes_to(signing.login("github", next="/health/live"))
    assert str(page.url) == f"{signing.url}/health/live"
    assert await viewer(browser.http, signing.url) == {
        "username": github.user["login"],
        "avatarUrl": github.user["avatar_url"],
    }


async def test_signing_in_again_ends_the_session_that_the_browser_had(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    await browser.goes_to(signing.login("github"))
    first = browser.http.cookies["messenger-session"]
    await browser.goes_to(signing.login("github"))
    second = browser.http.cookies["messenger-session"]
    async with httpx.AsyncClient(headers={"sec-fetch-site": "same-origin"}) as http:
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


async def test_who_has_changed_their_name_at_github_is_the_same_user(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    await browser.goes_to(signing.login("github"))
    first = await viewer(browser.http, signing.url)
    github.user = {**github.user, "login": f"renamed-{uuid4().hex[:12]}"}
    await browser.goes_to(signing.login("github"))
    assert await viewer(browser.http, signing.url) == first


async def test_a_name_that_is_taken_gets_a_number(browser: Browser, signing: Signing, github: GitHubStandIn):
    await browser.goes_to(signing.login("github"))
    github.user = {**somebody_at_github(), "login": github.user["login"].upper(), "name": None}
    await browser.goes_to(signing.login("github"))
    named = await viewer(browser.http, signing.url)
    assert named is not None
    assert named["username"] == f"{github.user['login']}-2"


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


async def test_what_goes_wrong_at_github_is_told_in_words(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    github.denies = True
    page = await browser.goes_to(signing.login("github", next="/health/live"))
    assert problem(page, 403) == "You have not been signed in"
    [again] = re.findall('href="(.*?)"', page.text)
    github.denies, github.forgets_codes = False, True
    assert (
        problem(await browser.goes_to(signing.login("github")), 400) == "GitHub did not confirm the sign-in"
    )
    github.forgets_codes, github.is_down = False, True
    assert problem(await browser.goes_to(signing.login("github")), 503) == "GitHub does not answer"
    assert await viewer(browser.http, signing.url) is None
    github.is_down = False
    page = await browser.goes_to(f"{signing.url}{again}")
    assert (page.status_code, urlsplit(str(page.url)).path) == (200, "/health/live")


async def test_a_provider_that_is_down_is_named_in_plain_text(
    browser: Browser, cluster: Cluster, tmp_path: Path
):
    with running_server(
        tmp_path,
        database_url=cluster.url(),
        secret_key=SECRET_KEY,
        oidc_issuer=f"http://127.0.0.1:{free_port()}",
        oidc_client_id=CLIENT_ID,
        oidc_name="<script>alert(1)</script>",
    ) as server:
        page = await browser.goes_to(f"{server.url}/auth/oidc/login")
        title = "&lt;script&gt;alert(1)&lt;/script&gt; does not answer"
        assert problem(page, 503) == title


async def test_a_provider_that_is_not_set_up_is_told_in_words(http: httpx.AsyncClient):
    for path in ("/auth/github/login", "/auth/oidc/callback"):
        assert problem(await http.get(path), 404) == "There is no such sign-in here"


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


def of_somebody_else_in_userinfo(issuer: Issuer) -> None:
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
        pytest.param(claiming(aud="somebody else"), id="for somebody else"),
        pytest.param(claiming(aud="somebody else", azp=CLIENT_ID), id="for somebody else, made for us"),
        pytest.param(claiming(aud=None), id="for nobody"),
        pytest.param(claiming(aud=[CLIENT_ID, "another"]), id="for several without saying for whom"),
        pytest.param(claiming(azp="another"), id="made for another client"),
        pytest.param(claiming(exp=LONG_AGO), id="expired"),
        pytest.param(claiming(exp=None), id="without an end"),
        pytest.param(claiming(iat=FAR_AHEAD), id="of the future"),
        pytest.param(claiming(nonce="another"), id="of another sign-in"),
        pytest.param(claiming(nonce=None), id="of no sign-in"),
        pytest.param(claiming(at_hash="AAAAAAAAAAAAAAAAAAAAAA"), id="of another access token"),
        pytest.param(claiming(sub=None), id="about nobody"),
        pytest.param(claiming(sub=""), id="about somebody without a name"),
        pytest.param(claiming(sub="x" * 256, name="Ada"), id="about a name too long to keep"),
        pytest.param(of_somebody_else_in_userinfo, id="with a profile of somebody else"),
        pytest.param(answering(iss="https://evil.example"), id="an answer of another issuer"),
        pytest.param(answering(iss="https://evil.example", error="access_denied"), id="an error of another"),
        pytest.param(without_iss, id="an answer of nobody"),
    ],
)
async def test_what_a_provider_does_not_vouch_for_signs_nobody_in(
    browser: Browser,
    signing: Signing,
    issuer: Issuer,
    database: Database,
    misbehave: Callable[[Issuer], None],
):
    async with database.snapshot() as connection:
        count = await connection.scalar(select(func.count()).select_from(users))
    misbehave(issuer)
    page = await browser.goes_to(signing.login("oidc"))
    assert problem(page, 502) == "This sign-in could not be verified"
    assert "The &lt;b&gt;Team&lt;/b&gt; &amp; Co." in page.text
    assert await viewer(browser.http, signing.url) is None
    async with database.snapshot() as connection:
        assert await connection.scalar(select(func.count()).select_from(users)) == count


async def test_the_same_provider_when_it_behaves_signs_in(browser: Browser, signing: Signing, issuer: Issuer):
    """What the table before this one changes is what it says, and nothing else."""
    subject, name = uuid4().hex, f"grace-{uuid4().hex[:12]}"
    issuer.claims = {"sub": subject, "preferred_username": f"{name}@example.com", "picture": "http://x/y.png"}
    issuer.header = {"x-unknown": "does no harm"}
    await browser.goes_to(signing.login("oidc"))
    # Of an address only what is before the @, and no picture by plain HTTP.
    assert await viewer(browser.http, signing.url) == {"username": name, "avatarUrl": None}


async def test_a_provider_may_change_its_keys(browser: Browser, signing: Signing, issuer: Issuer):
    await browser.goes_to(signing.login("oidc"))
    issuer.keys = [new_key()]
    named = f"Rotated {uuid4().hex[:12]}"
    issuer.claims = {"sub": uuid4().hex, "preferred_username": None, "name": named}
    await browser.goes_to(signing.login("oidc"))
    found = await viewer(browser.http, signing.url)
    assert found is not None
    assert found["username"] == named.replace(" ", "-")


@pytest.mark.parametrize(
    "following",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/\t/evil.example",
     "evil", "", "/" + "x" * 2000, "/\n"],
)  # fmt: skip
async def test_sign_in_leads_to_no_other_site(browser: Browser, signing: Signing, following: str):
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
        {"redirect_uri": f"{FRONTEND}\\@evil.example/"},
        {"redirect_uri": "https://["},
        {"code_challenge": "short"},
        {"code_challenge": "+" * 43},
        {"code_challenge_method": "plain"},
        {"state": "x" * 501},
    ],
    ids=str,
)
async def test_a_frontend_gets_a_code_only_at_its_origin_and_with_a_challenge(
    browser: Browser, signing: Signing, change: dict[str, str]
):
    good = {
        "redirect_uri": f"{FRONTEND}/signed-in",
        "code_challenge": challenge_of("x" * 43),
        "code_challenge_method": "S256",
    }
    assert (await browser.http.get(signing.login("github", **good))).status_code == 303
    response = await browser.http.get(signing.login("github", **{**good, **change}))
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BAD_USER_INPUT")


async def code_for_frontend(browser: Browser, signing: Signing, verifier: str, **more: str) -> str:
    """Sign in from the frontend; return the address that it is called back at."""
    asked = {
        "redirect_uri": f"{FRONTEND}/signed-in",
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        **more,
    }
    response = await browser.goes_to(signing.login("github", **asked), stops_before=FRONTEND)
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "messenger-session" not in response.headers.get("set-cookie", "")
    return response.headers["location"]


async def exchanged(signing: Signing, **body: object) -> httpx.Response:
    async with httpx.AsyncClient(base_url=signing.url) as http:
        return await http.post("/auth/token", json=body, headers={"origin": FRONTEND})


async def test_a_frontend_of_another_origin_exchanges_a_code_for_a_token(
    browser: Browser, signing: Signing, github: GitHubStandIn
):
    verifier = secrets.token_urlsafe(32)
    address = await code_for_frontend(
        browser, signing, verifier, redirect_uri=f"{FRONTEND}/signed-in?from=login", state="its own & more"
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
    async with httpx.AsyncClient() as http:
        found = await viewer(http, signing.url, answer.json()["token"])
    assert found is not None
    assert found["username"] == github.user["login"]
    again = await exchanged(signing, code=brought["code"], code_verifier=verifier)
    assert (again.status_code, again.json()["error"]["code"]) == (400, "CODE_INVALID")


async def test_a_code_is_worth_nothing_without_its_verifier_and_then_nothing_at_all(
    browser: Browser, signing: Signing, github: GitHubStandIn, database: Database
):
    verifier = secrets.token_urlsafe(32)
    [code] = parse_qs(urlsplit(await code_for_frontend(browser, signing, verifier)).query)["code"]
    async with database.snapshot() as connection:
        [kept] = await connection.execute(
            select(sign_in_codes).where(sign_in_codes.c.code_challenge == challenge_of(verifier))
        )
    assert code not in map(str, kept)
    for tried in (secrets.token_urlsafe(32), verifier):
        answer = await exchanged(signing, code=code, code_verifier=tried)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "CODE_INVALID")


async def test_a_code_that_nobody_comes_for_expires_within_a_minute(
    browser: Browser, signing: Signing, github: GitHubStandIn, database: Database
):
    verifier = secrets.token_urlsafe(32)
    [code] = parse_qs(urlsplit(await code_for_frontend(browser, signing, verifier)).query)["code"]
    mine = sign_in_codes.c.code_challenge == challenge_of(verifier)
    async with database.transaction() as connection:
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
async def test_an_exchange_that_makes_no_sense_is_refused(signing: Signing, body: dict[str, object]):
    answer = await exchanged(signing, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_USER_INPUT")


async def test_another_sites_page_exchanges_nothing(signing: Signing):
    async with httpx.AsyncClient(base_url=signing.url) as http:
        body = {"code": "x", "code_verifier": "x" * 43}
        answer = await http.post("/auth/token", json=body, headers={"origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "CROSS_SITE")


async def test_a_pages_script_cannot_begin_a_sign_in(signing: Signing):
    async with httpx.AsyncClient() as http:
        answer = await http.get(signing.login("github"), headers={"sec-fetch-mode": "no-cors"})
    assert answer.status_code == 400


async def test_frontends_are_told_which_ways_there_are(signing: Signing, http: httpx.AsyncClient):
    offered = (await http.get(f"{signing.url}/auth/providers")).json()
    assert offered == {
        "providers": [
            {"id": "github", "name": "GitHub", "loginUrl": f"{signing.url}/auth/github/login"},
            {"id": "oidc", "name": "The <b>Team</b> & Co.", "loginUrl": f"{signing.url}/auth/oidc/login"},
        ],
        "devLogin": True,
    }
    assert (await http.get("/auth/providers")).json() == {"providers": [], "devLogin": True}


async def test_many_first_sign_ins_of_one_person_at_once_make_one_user(database: Database):
    subject, name = uuid4().hex, f"ada-{uuid4().hex[:12]}"
    made = await asyncio.gather(
        *(user_for(database, "https://id.example", subject, Profile([name])) for _ in range(20))
    )
    assert {user.username for user in made} == {name}
    called_differently = await asyncio.gather(
        *(
            user_for(database, "https://id.example", f"{subject}-2", Profile([f"{name}-{number}"]))
            for number in range(20)
        )
    )
    assert len({user.id for user in called_differently}) == 1
    others = await asyncio.gather(
        *(user_for(database, "https://id.example", uuid4().hex, Profile([name])) for _ in range(20))
    )
    assert len({user.username.lower() for user in (*made, *others)}) == 21
    # The same subject at another issuer is somebody else.
    assert (await user_for(database, "https://other.example", subject, Profile())).id != made[0].id


@pytest.mark.parametrize("subject", ["", "x" * 256, "\0", "\ud800"])
async def test_a_subject_that_cannot_be_kept_is_refused(database: Database, subject: str):
    with pytest.raises(SubjectRefused):
        await user_for(database, "https://id.example", subject, Profile())


@given(st.lists(st.text(max_size=60), max_size=3))
def test_every_name_that_is_tried_is_allowed_and_there_is_always_another(names: list[str]):
    tried = possible_usernames(names)
    found = [next(tried) for _ in range(30)]
    assert all(is_username(name) for name in found)
    assert len(set(found)) > 10


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (["Zoë Müller"], "Zoe-Muller"),
        (["ada@example.com"], "ada"),
        (["山田", "yamada"], "yamada"),
        (["-.-"], "user"),
        (["x" * 50], "x" * 39),
        (["<script>"], "script"),
    ],
)
def test_a_provider_s_name_is_kept_as_far_as_it_can_be(names: list[str], first: str):
    assert next(possible_usernames(names)) == first


async def test_a_signed_in_session_is_a_session_like_any_other(
    browser: Browser, signing: Signing, github: GitHubStandIn, database: Database
):
    await browser.goes_to(signing.login("github"))
    token = browser.http.cookies["messenger-session"]
    async with database.snapshot() as connection:
        found = await connection.scalar(
            select(func.count())
            .select_from(sessions)
            .where(sessions.c.token_hash == sha256(token.encode()).hexdigest())
        )
    assert found == 1
    same_site = {"sec-fetch-site": "same-origin"}
    assert (await browser.http.post(f"{signing.url}/auth/logout", headers=same_site)).status_code == 204
    assert await viewer(browser.http, signing.url) is None


async def test_without_a_secret_key_one_is_made_once_and_kept_from_others(browser: Browser, tmp_path: Path):
    github = GitHubStandIn(somebody_at_github())
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
        # A sign-in that a restart comes in between of still ends well.
        with running_server(tmp_path, port=str(port), **offered):
            assert (await browser.goes_to(back.headers["location"])).status_code == 200

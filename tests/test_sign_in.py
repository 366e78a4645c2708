"""Signing in and out: who gets a token, where it is good, and what other sites cannot do with it."""

import asyncio
import json
import os
import re
from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select, text, update

from db.embedded import Cluster
from db.engine import Database
from db.tables import sessions
from tests.conftest import SignIn
from tests.people import PATIENCE_SECONDS
from tests.serving import MESSENGER, Server, running_server

COOKIE = "messenger-session"
SECURE_COOKIE = "__Host-messenger-session"
FRONTEND = "https://app.example.com"
VIEWER = {"query": "{ viewer { username } }"}
FROM_ANOTHER_SITE = {
    "with its origin": {"origin": "https://evil.example"},
    "on another port": {"origin": "http://localhost:1"},
    "as a sandboxed frame": {"origin": "null"},
    "with a broken origin": {"origin": "http://["},
    "by a link or an image": {"sec-fetch-site": "cross-site"},
    "from a sibling domain": {"sec-fetch-site": "same-site"},
    "with our host and its site": {"origin": "https://localhost", "sec-fetch-site": "cross-site"},
}


def a_name() -> str:
    return f"Ada-{uuid4().hex[:12]}"


async def log_in(
    http: httpx.AsyncClient, username: object, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    response = await http.post("/auth/dev/login", json={"username": username}, headers=headers)
    http.cookies.clear()
    return response


async def token_for(http: httpx.AsyncClient, username: str) -> str:
    response = await log_in(http, username)
    assert response.status_code == 200, response.text
    return response.json()["token"]


async def post(http: httpx.AsyncClient, path: str, headers: Mapping[str, str]) -> httpx.Response:
    response = await http.post(path, headers=headers)
    http.cookies.clear()
    return response


async def viewer(http: httpx.AsyncClient, headers: Mapping[str, str]) -> str:
    """Return whom the server takes the sender for, or the code with which it turns them down."""
    answer = (await http.post("/graphql", json=VIEWER, headers=headers)).json()
    if "errors" in answer:
        return answer["errors"][0]["extensions"]["code"]
    return answer["data"]["viewer"]["username"] if answer["data"]["viewer"] else "nobody"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def cookie(token: str, name: str = COOKIE) -> dict[str, str]:
    return {"cookie": f"{name}={token}"}


def cookie_set_by(response: httpx.Response) -> "Morsel[str]":
    [header] = response.headers.get_list("set-cookie")
    [morsel] = SimpleCookie(header).values()
    return morsel


def refusal(response: httpx.Response, status: int) -> str:
    """Return the code of a refusal, whose shape is the contract's."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    [(name, error)] = response.json().items()
    assert name == "error"
    assert set(error) == {"code", "message"}
    assert error["message"]
    return error["code"]


async def change_session(database: Database, token: str, **values: Any) -> None:
    """Move the times of the token's session, which is quicker than to wait for them."""
    statement = update(sessions).where(sessions.c.token_hash == sha256(token.encode()).hexdigest())
    async with database.transaction() as connection:
        assert (await connection.execute(statement.values(**values))).rowcount == 1


@pytest.fixture(scope="module")
def public_server(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """A server that browsers reach by https, with a frontend on another origin."""
    with running_server(
        tmp_path_factory.mktemp("public"),
        database_url=cluster.url(),
        public_url="https://chat.example.com",
        dev_login="on",
        allowed_origins=f"https://other.example, {FRONTEND}",
    ) as running:
        yield running


async def test_a_new_name_makes_a_user_who_is_found_again_in_any_case(http: httpx.AsyncClient):
    name = a_name()
    first = (await log_in(http, name)).json()
    assert set(first) == {"token", "expiresAt", "user"}
    assert set(first["user"]) == {"id", "username", "avatarUrl"}
    assert (first["user"]["username"], first["user"]["avatarUrl"]) == (name, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["expiresAt"])
    lasts = datetime.fromisoformat(first["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=13, hours=23) < lasts <= timedelta(days=14)
    second = (await log_in(http, name.upper())).json()
    assert second["user"] == first["user"]
    assert second["token"] != first["token"]
    query = {"query": "{ viewer { id username avatarUrl } }"}
    for signed_in in (first, second):
        answer = await http.post("/graphql", json=query, headers=bearer(signed_in["token"]))
        assert answer.json() == {"data": {"viewer": first["user"]}}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "BLANK"),
        (" \t\n", "BLANK"),
        ("a" * 40, "TOO_LONG"),
        ("a" * 10_000, "TOO_LONG"),
        ("-ada", "INVALID"),
        (".ada", "INVALID"),
        ("ada lovelace", "INVALID"),
        ("ada\n", "INVALID"),
        ("ada\0", "INVALID"),
        ("àda", "INVALID"),
        ("ada٣", "INVALID"),
        ("ada\ud800", "INVALID"),
        ("ada/../..", "INVALID"),
    ],
)
async def test_a_name_that_nobody_may_have_is_refused(http: httpx.AsyncClient, name: str, code: str):
    # Python's own encoder escapes half of a surrogate pair, which httpx's could not send.
    body = json.dumps({"username": name})
    response = await http.post("/auth/dev/login", content=body, headers={"content-type": "application/json"})
    assert refusal(response, 400) == code
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("end", ["", "9", "._-", "x" * 26])
async def test_a_name_may_have_letters_digits_dots_underscores_and_hyphens(http: httpx.AsyncClient, end: str):
    name = uuid4().hex[:13] + end
    assert (await log_in(http, name)).json()["user"]["username"] == name


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"ada"',
        b"{}",
        b'{"username": null}',
        b'{"username": 1}',
        b'{"username": ["ada"]}',
        b'{"username": NaN}',
        b'{"name": "ada"}',
        b'{"username": "ada"} {"username": "ada"}',
        b'{"username": "\xff"}',
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
async def test_a_body_without_a_name_is_refused(http: httpx.AsyncClient, body: bytes):
    response = await http.post("/auth/dev/login", content=body, headers={"content-type": "application/json"})
    assert refusal(response, 400) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "text/plain"},
        {"content-type": "application/jsonp"},
        {"content-type": "application/json; charset=iso-8859-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
    ids=str,
)
async def test_only_json_signs_in(http: httpx.AsyncClient, headers: dict[str, str]):
    body = json.dumps({"username": a_name()}).encode()
    assert refusal(await http.post("/auth/dev/login", content=body, headers=headers), 415) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "content_type",
    ["Application/JSON", 'application/json;charset="UTF-8"', "application/json; charset=utf-8; v=1"],
)
async def test_json_may_say_so_in_its_own_way(http: httpx.AsyncClient, content_type: str):
    body = json.dumps({"username": a_name()}).encode()
    response = await http.post("/auth/dev/login", content=body, headers={"content-type": content_type})
    http.cookies.clear()
    assert response.status_code == 200, response.text


async def test_a_body_over_the_limit_is_refused(http: httpx.AsyncClient):
    assert refusal(await log_in(http, "a" * 256 * 1024), 413) == "BAD_USER_INPUT"


@pytest.mark.parametrize("path", ["/auth/dev/login", "/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_signing_in_and_out_is_only_by_post(http: httpx.AsyncClient, method: str, path: str):
    response = await http.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


async def test_many_who_bring_a_new_name_at_once_become_one_user(http: httpx.AsyncClient):
    name = a_name()
    spellings = [name.upper() if number % 2 else name.lower() for number in range(20)]
    answers = [each.json() for each in await asyncio.gather(*(log_in(http, each) for each in spellings))]
    assert len({answer["user"]["id"] for answer in answers}) == 1
    assert len({answer["token"] for answer in answers}) == 20


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(http: httpx.AsyncClient):
    response = await log_in(http, a_name())
    set_cookie = cookie_set_by(response)
    assert (set_cookie.key, set_cookie.value) == (COOKIE, response.json()["token"])
    assert set_cookie["httponly"]
    assert set_cookie["samesite"].lower() == "lax"
    assert set_cookie["path"] == "/"
    assert set_cookie["domain"] == ""
    assert not set_cookie["secure"]
    assert 14 * 86400 - 60 < int(set_cookie["max-age"]) <= 14 * 86400


async def test_under_https_the_cookie_is_secure_and_of_this_host(public_server: Server):
    async with httpx.AsyncClient(base_url=public_server.url) as http:
        name = a_name()
        response = await log_in(http, name)
        set_cookie = cookie_set_by(response)
        assert (set_cookie.key, set_cookie["secure"], set_cookie["path"]) == (SECURE_COOKIE, True, "/")
        assert (set_cookie["httponly"], set_cookie["samesite"].lower()) == (True, "lax")
        assert set_cookie["domain"] == ""
        assert await viewer(http, cookie(set_cookie.value, SECURE_COOKIE)) == name
        # Without the prefix it may be what another host or plain HTTP has set.
        assert await viewer(http, cookie(set_cookie.value)) == "nobody"


async def test_the_database_keeps_no_token(http: httpx.AsyncClient, database: Database):
    old = await token_for(http, a_name())
    token = (await post(http, "/auth/refresh", bearer(old))).json()["token"]
    hashes = [sha256(each.encode()).hexdigest() for each in (token, old)]
    async with database.snapshot() as connection:
        row = select(sessions.c.token_hash, sessions.c.previous_token_hash).where(
            sessions.c.token_hash == hashes[0]
        )
        assert [*(await connection.execute(row)).one()] == hashes
        whole_table = text("SELECT count(*) FROM sessions AS s WHERE strpos(s::text, :token) > 0")
        for each in (token, old):
            assert await connection.scalar(whole_table, {"token": each}) == 0


async def test_a_bearer_token_goes_before_a_cookie(http: httpx.AsyncClient):
    ada_name, grace_name = a_name(), a_name()
    ada, grace = await token_for(http, ada_name), await token_for(http, grace_name)
    assert await viewer(http, cookie(grace)) == grace_name
    assert await viewer(http, {"cookie": f"theme=dark; {COOKIE}={grace}; {COOKIE}-2=x"}) == grace_name
    assert await viewer(http, bearer(ada) | cookie(grace)) == ada_name
    assert await viewer(http, {"authorization": f"bEARER {ada}"}) == ada_name
    for authorization in ("Bearer wrong", "Bearer", "Basic YWRhOmFkYQ==", f"Session {ada}", ada, ""):
        assert await viewer(http, {"authorization": authorization} | cookie(grace)) == "UNAUTHENTICATED"


async def test_a_token_that_is_not_good_is_not_nobodys(http: httpx.AsyncClient):
    token = await token_for(http, a_name())
    assert await viewer(http, {}) == "nobody"
    assert await viewer(http, {"cookie": "theme=dark"}) == "nobody"
    for wrong in (
        "wrong",
        token[:-1],
        token + "A",
        token.swapcase(),
        '"' + token,
        sha256(token.encode()).hexdigest(),
    ):
        assert await viewer(http, bearer(wrong)) == "UNAUTHENTICATED", wrong
        assert await viewer(http, cookie(wrong)) == "UNAUTHENTICATED", wrong
    assert await viewer(http, {"cookie": f"{COOKIE}="}) == "UNAUTHENTICATED"


async def test_a_refresh_ends_the_old_token_after_a_moment_of_grace(
    http: httpx.AsyncClient, database: Database
):
    name = a_name()
    old = await token_for(http, name)
    await change_session(database, old, expires_at=datetime.now(UTC) + timedelta(minutes=1))
    response = await post(http, "/auth/refresh", bearer(old))
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"token", "expiresAt", "user"}
    assert answer["user"]["username"] == name
    assert datetime.fromisoformat(answer["expiresAt"]) > datetime.now(UTC) + timedelta(days=13)
    new = answer["token"]
    assert new != old
    assert cookie_set_by(response).value == new
    assert [await viewer(http, bearer(token)) for token in (old, new)] == [name, name]
    async with database.snapshot() as connection:
        session = sessions.c.token_hash == sha256(new.encode()).hexdigest()
        grace = await connection.scalar(select(sessions.c.previous_token_until - func.now()).where(session))
    assert grace is not None
    assert timedelta(seconds=10) < grace <= timedelta(seconds=30)
    await change_session(database, new, previous_token_until=datetime.now(UTC))
    assert await viewer(http, bearer(old)) == "UNAUTHENTICATED"
    assert await viewer(http, bearer(new)) == name


async def test_an_old_token_cannot_be_refreshed_again(http: httpx.AsyncClient):
    name = a_name()
    old = await token_for(http, name)
    new = (await post(http, "/auth/refresh", cookie(old))).json()["token"]
    again = await post(http, "/auth/refresh", bearer(old))
    assert refusal(again, 401) == "UNAUTHENTICATED"
    assert again.headers["www-authenticate"] == "Bearer"
    assert "set-cookie" not in again.headers
    assert await viewer(http, bearer(new)) == name


async def test_of_many_refreshes_of_one_token_at_once_one_succeeds(http: httpx.AsyncClient):
    name = a_name()
    old = await token_for(http, name)
    responses = await asyncio.gather(*(post(http, "/auth/refresh", bearer(old)) for _ in range(10)))
    assert sorted(response.status_code for response in responses) == [200, *[401] * 9]
    [new] = [response.json()["token"] for response in responses if response.status_code == 200]
    assert [await viewer(http, bearer(token)) for token in (old, new)] == [name, name]


@pytest.mark.parametrize("headers_of", [bearer, cookie])
async def test_logging_out_ends_the_session_and_no_other(http: httpx.AsyncClient, headers_of: Any):
    name = a_name()
    token, on_the_phone = await token_for(http, name), await token_for(http, name)
    response = await post(http, "/auth/logout", headers_of(token))
    assert (response.status_code, response.content) == (204, b"")
    forgotten = cookie_set_by(response)
    assert (forgotten.key, forgotten.value, forgotten["max-age"], forgotten["path"]) == (COOKIE, "", "0", "/")
    assert await viewer(http, headers_of(token)) == "UNAUTHENTICATED"
    assert await viewer(http, headers_of(on_the_phone)) == name
    for path in ("/auth/logout", "/auth/refresh"):
        again = await post(http, path, headers_of(token))
        assert refusal(again, 401) == "UNAUTHENTICATED"
        assert again.headers["www-authenticate"] == "Bearer"


async def test_logging_out_with_a_token_just_replaced_ends_the_new_one_too(http: httpx.AsyncClient):
    old = await token_for(http, a_name())
    new = (await post(http, "/auth/refresh", bearer(old))).json()["token"]
    assert (await post(http, "/auth/logout", bearer(old))).status_code == 204
    assert [await viewer(http, bearer(token)) for token in (old, new)] == ["UNAUTHENTICATED"] * 2


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/refresh"])
@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Basic YQ=="}, bearer("wrong"), cookie("wrong")], ids=str
)
async def test_who_is_not_signed_in_can_neither_refresh_nor_log_out(
    http: httpx.AsyncClient, path: str, headers: dict[str, str]
):
    response = await post(http, path, headers)
    assert refusal(response, 401) == "UNAUTHENTICATED"
    assert response.headers["www-authenticate"] == "Bearer"


async def test_an_expired_session_is_over(http: httpx.AsyncClient, database: Database):
    token = await token_for(http, a_name())
    await change_session(database, token, expires_at=datetime.now(UTC))
    assert await viewer(http, bearer(token)) == "UNAUTHENTICATED"
    for path in ("/auth/logout", "/auth/refresh"):
        assert refusal(await post(http, path, bearer(token)), 401) == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "settings",
    [{"dev_login": "off"}, {"public_url": "https://chat.example.com"}],
    ids=["turned off", "off by default where the public URL is not localhost"],
)
async def test_signing_in_by_name_can_be_off(
    cluster: Cluster, database: Database, tmp_path: Path, settings: dict[str, str]
):
    with running_server(tmp_path, database_url=cluster.url(), **settings) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            assert refusal(await log_in(http, a_name()), 404) == "NOT_FOUND"


async def messenger_token(cluster: Cluster, folder: Path, name: str) -> tuple[int | None, str, str]:
    """Return the exit status of `messenger token NAME`, what it prints, and what it complains about."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESSENGER_")}
    process = await asyncio.create_subprocess_exec(
        MESSENGER,
        "token",
        name,
        env=environment | {"MESSENGER_DATABASE_URL": cluster.url()},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, complaint = await process.communicate()
    return process.returncode, output.decode(), complaint.decode()


async def test_the_command_line_prints_a_token(http: httpx.AsyncClient, cluster: Cluster, tmp_path: Path):
    name = a_name()
    earlier = await token_for(http, name)
    status, output, complaint = await messenger_token(cluster, tmp_path, name.upper())
    assert (status, complaint) == (0, "")
    [token] = output.splitlines()
    assert await viewer(http, bearer(token)) == name
    assert await viewer(http, bearer(earlier)) == name


async def test_the_command_line_has_no_token_for_somebody_unknown(cluster: Cluster, tmp_path: Path):
    name = a_name()
    status, output, complaint = await messenger_token(cluster, tmp_path, name)
    assert (status, output) == (1, "")
    [line] = complaint.splitlines()
    assert name in line


@pytest.mark.parametrize("headers", FROM_ANOTHER_SITE.values(), ids=FROM_ANOTHER_SITE.keys())
async def test_a_page_of_another_site_cannot_use_the_cookie(http: httpx.AsyncClient, headers: dict[str, str]):
    name = a_name()
    token = await token_for(http, name)
    subscription = "subscription { messageCreated { cursor } }"
    stream = {"accept": "text/event-stream"}
    used = headers | cookie(token)
    async with asyncio.timeout(PATIENCE_SECONDS):
        attempts = [
            await http.get("/graphql", params=VIEWER, headers=used),
            await http.get("/graphql", params={"query": subscription}, headers=used | stream),
            await http.get("/graphql/stream", params={"query": subscription}, headers=used | stream),
            await http.post("/graphql", json=VIEWER, headers=used),
            await http.post("/graphql", json={"query": subscription}, headers=used | stream),
        ]
    for response in attempts:
        assert response.status_code == 403, response.text
        [error] = response.json()["errors"]
        assert error["extensions"]["code"] == "CROSS_SITE"
        assert name not in response.text
    for path in ("/auth/refresh", "/auth/logout"):
        response = await post(http, path, used)
        assert refusal(response, 403) == "CROSS_SITE"
        assert "set-cookie" not in response.headers
    assert refusal(await log_in(http, a_name(), headers), 403) == "CROSS_SITE"
    assert await viewer(http, bearer(token)) == name


@pytest.mark.parametrize("headers", FROM_ANOTHER_SITE.values(), ids=FROM_ANOTHER_SITE.keys())
async def test_a_bearer_token_is_good_whatever_page_sends_it(
    http: httpx.AsyncClient, signs_in: SignIn, headers: dict[str, str]
):
    ada = await signs_in("ada")
    # A browser adds the cookie by itself; the token in the header is what counts.
    used = headers | ada.headers | cookie("wrong")
    assert await viewer(http, used) == ada.username
    answer = await http.get("/graphql", params=VIEWER, headers=used)
    assert answer.json() == {"data": {"viewer": {"username": ada.username}}}
    async with ada.streaming("subscription { messageCreated { cursor } }", headers=headers) as stream:
        assert stream.response.status_code == 200
    new = (await post(http, "/auth/refresh", used)).json()["token"]
    assert (await post(http, "/auth/logout", headers | bearer(new))).status_code == 204


async def test_our_own_pages_and_whoever_types_the_address_may_use_the_cookie(
    http: httpx.AsyncClient, server: Server
):
    name = a_name()
    token = await token_for(http, name)
    for headers in (
        {},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": server.url},
        {"origin": f"http://localhost:{server.port}"},
        {"origin": server.url, "sec-fetch-site": "same-origin"},
    ):
        assert await viewer(http, headers | cookie(token)) == name, headers
        assert (await log_in(http, name, headers)).status_code == 200, headers


async def test_an_allowed_origin_may_ask_with_cookies_and_no_other_may(public_server: Server):
    async with httpx.AsyncClient(base_url=public_server.url) as http:
        name = a_name()
        allowed = {"origin": FRONTEND, "sec-fetch-site": "cross-site"}
        signed_in = await log_in(http, name, allowed)
        assert signed_in.headers["access-control-allow-origin"] == FRONTEND
        token = signed_in.json()["token"]
        used = cookie(token, SECURE_COOKIE)

        response = await http.post("/graphql", json=VIEWER, headers=used | allowed)
        assert response.json() == {"data": {"viewer": {"username": name}}}
        assert response.headers["access-control-allow-origin"] == FRONTEND
        assert response.headers["access-control-allow-credentials"] == "true"
        assert "x-request-id" in response.headers["access-control-expose-headers"].lower()

        for origin in (
            "https://app.example.com.evil.example",
            "http://app.example.com",
            "https://evil.example",
        ):
            others = {"origin": origin, "sec-fetch-site": "cross-site"}
            response = await http.post("/graphql", json=VIEWER, headers=used | others)
            assert response.status_code == 403
            assert "access-control-allow-origin" not in response.headers
            assert refusal(await log_in(http, name, others), 403) == "CROSS_SITE"


async def test_only_an_allowed_origin_passes_the_preflight(public_server: Server):
    wanted = "authorization, content-type, last-event-id"
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": wanted}
    async with httpx.AsyncClient(base_url=public_server.url) as http:
        for path in ("/graphql", "/graphql/stream", "/auth/dev/login", "/auth/refresh", "/auth/logout"):
            response = await http.options(path, headers={"origin": FRONTEND, **preflight})
            assert response.status_code == 200, response.text
            assert response.headers["access-control-allow-origin"] == FRONTEND
            assert response.headers["access-control-allow-credentials"] == "true"
            assert "POST" in response.headers["access-control-allow-methods"]
            allowed = response.headers["access-control-allow-headers"].lower().split(", ")
            assert set(wanted.split(", ")) <= set(allowed)
            response = await http.options(path, headers={"origin": "https://evil.example", **preflight})
            assert response.status_code == 400
            assert "access-control-allow-origin" not in response.headers


async def test_without_allowed_origins_no_other_page_reads_an_answer(http: httpx.AsyncClient):
    response = await http.post("/graphql", json=VIEWER, headers={"origin": FRONTEND})
    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "[", "[::1", ""]
)
async def test_a_host_name_made_to_lead_here_signs_nobody_in(http: httpx.AsyncClient, host: str):
    """DNS rebinding: to the browser the attacker's page and we are one origin."""
    headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert refusal(await log_in(http, a_name(), headers), 403) == "CROSS_SITE"


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
async def test_this_machine_signs_in_by_each_of_its_names(http: httpx.AsyncClient, host: str):
    assert (await log_in(http, a_name(), {"host": host})).status_code == 200


async def test_signing_in_by_name_is_open_to_other_hosts_where_the_operator_says_so(public_server: Server):
    async with httpx.AsyncClient(base_url=public_server.url) as http:
        assert (await log_in(http, a_name(), {"host": "chat.example.com"})).status_code == 200

"""Signing in by name: names, requests, and the cookie."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.server.sign_in.signing_in import (
    COOKIE,
    SECURE_COOKIE,
    a_name,
    bearer,
    cookie,
    cookie_set_by,
    log_in,
    refusal,
    token_for,
    viewer,
)
from tests.support.clients import http_client
from tests.support.serving import Server, run_command, running_server


async def test_a_new_name_creates_a_user_and_names_are_case_insensitive(http: httpx.AsyncClient):
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
async def test_an_invalid_name_is_rejected(http: httpx.AsyncClient, name: str, code: str):
    # Python's own encoder escapes lone surrogates, which httpx cannot send.
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
async def test_a_body_without_a_name_is_rejected(http: httpx.AsyncClient, body: bytes):
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
async def test_only_json_is_accepted(http: httpx.AsyncClient, headers: dict[str, str]):
    body = json.dumps({"username": a_name()}).encode()
    assert refusal(await http.post("/auth/dev/login", content=body, headers=headers), 415) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "content_type",
    ["Application/JSON", 'application/json;charset="UTF-8"', "application/json; charset=utf-8; v=1"],
)
async def test_all_forms_of_the_json_media_type_are_accepted(http: httpx.AsyncClient, content_type: str):
    body = json.dumps({"username": a_name()}).encode()
    response = await http.post("/auth/dev/login", content=body, headers={"content-type": content_type})
    http.cookies.clear()
    assert response.status_code == 200, response.text


async def test_a_body_over_the_limit_is_rejected(http: httpx.AsyncClient):
    assert refusal(await log_in(http, "a" * 256 * 1024), 413) == "BAD_USER_INPUT"


@pytest.mark.parametrize("path", ["/auth/dev/login", "/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_signing_in_and_out_requires_post(http: httpx.AsyncClient, method: str, path: str):
    response = await http.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


async def test_concurrent_sign_ins_with_a_new_name_create_one_user(http: httpx.AsyncClient):
    name = a_name()
    spellings = [name.upper() if number % 2 else name.lower() for number in range(20)]
    answers = [each.json() for each in await asyncio.gather(*(log_in(http, each) for each in spellings))]
    assert len({answer["user"]["id"] for answer in answers}) == 1
    assert len({answer["token"] for answer in answers}) == 20


async def test_the_cookie_is_hidden_from_scripts_and_other_sites(http: httpx.AsyncClient):
    response = await log_in(http, a_name())
    set_cookie = cookie_set_by(response)
    assert (set_cookie.key, set_cookie.value) == (COOKIE, response.json()["token"])
    assert set_cookie["httponly"]
    assert set_cookie["samesite"].lower() == "lax"
    assert set_cookie["path"] == "/"
    assert set_cookie["domain"] == ""
    assert not set_cookie["secure"]
    assert 14 * 86400 - 60 < int(set_cookie["max-age"]) <= 14 * 86400


async def test_over_https_the_cookie_is_secure_and_bound_to_the_host(public_server: Server):
    async with http_client(public_server.url) as http:
        name = a_name()
        response = await log_in(http, name)
        set_cookie = cookie_set_by(response)
        assert (set_cookie.key, set_cookie["secure"], set_cookie["path"]) == (SECURE_COOKIE, True, "/")
        assert (set_cookie["httponly"], set_cookie["samesite"].lower()) == (True, "lax")
        assert set_cookie["domain"] == ""
        assert await viewer(http, cookie(set_cookie.value, SECURE_COOKIE)) == name
        # Without the prefix, another host or plain HTTP could have set it.
        assert await viewer(http, cookie(set_cookie.value)) == "nobody"


@pytest.mark.parametrize(
    "settings",
    [{"dev_login": "off"}, {"public_url": "https://chat.example.com"}],
    ids=["turned off", "off by default where the public URL is not localhost"],
)
async def test_signing_in_by_name_can_be_switched_off(
    cluster: Cluster, database: Database, tmp_path: Path, settings: dict[str, str]
):
    with running_server(tmp_path, database_url=cluster.url(), **settings) as server:
        async with http_client(server.url) as http:
            assert refusal(await log_in(http, a_name()), 404) == "NOT_FOUND"


async def messenger_token(cluster: Cluster, folder: Path, name: str) -> tuple[int, str, str]:
    """Return the exit status, output and error output of `messenger token NAME`."""
    done = await asyncio.to_thread(run_command, folder, "token", name, database_url=cluster.url())
    return done.returncode, done.stdout, done.stderr


async def test_the_command_line_prints_a_token(http: httpx.AsyncClient, cluster: Cluster, tmp_path: Path):
    name = a_name()
    earlier = await token_for(http, name)
    status, output, complaint = await messenger_token(cluster, tmp_path, name.upper())
    assert (status, complaint) == (0, "")
    [token] = output.splitlines()
    assert await viewer(http, bearer(token)) == name
    assert await viewer(http, bearer(earlier)) == name


async def test_the_command_line_rejects_an_unknown_user(cluster: Cluster, tmp_path: Path):
    name = a_name()
    status, output, complaint = await messenger_token(cluster, tmp_path, name)
    assert (status, output) == (1, "")
    [line] = complaint.splitlines()
    assert name in line

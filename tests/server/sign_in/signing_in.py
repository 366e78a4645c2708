"""Signing in by name, and identifying oneself with a token."""

from collections.abc import Mapping
from hashlib import sha256
from http.cookies import Morsel, SimpleCookie
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import update

from db.engine import Database
from db.tables import sessions
from tests.support.tables import tables

COOKIE = "messenger-session"
SECURE_COOKIE = "__Host-messenger-session"
FRONTEND = "https://app.example.com"
VIEWER = {"query": "{ viewer { username } }"}


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
    """Return the viewer's username, or the error code if the server rejects the request."""
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
    """Return the code of a rejection, which must have the shape of the contract."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    [(name, error)] = response.json().items()
    assert name == "error"
    assert set(error) == {"code", "message"}
    assert error["message"]
    return error["code"]


async def change_session(database: Database, token: str, **values: Any) -> None:
    """Change the times of the token's session, which is faster than waiting for them."""
    statement = update(sessions).where(sessions.c.token_hash == sha256(token.encode()).hexdigest())
    async with tables(database) as connection:
        assert (await connection.execute(statement.values(**values))).rowcount == 1

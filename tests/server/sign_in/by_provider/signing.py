"""A server with sign-in providers, and what users see of it."""

import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx

from tests.support.serving import Server
from tests.support.stand_ins import GitHubStandIn, Issuer

FRONTEND = "https://app.example.com"
SIGNED_IN = f"{FRONTEND}/signed-in"
SECRET_KEY = "a key for the tests, long enough to be one"
PENDING = "messenger-sign-in-"


@dataclass
class Signing:
    """A server with sign-in, and its providers."""

    server: Server
    url: str
    github: GitHubStandIn
    issuer: Issuer

    def login(self, provider: str, **parameters: str) -> str:
        return f"{self.url}/auth/{provider}/login?{urlencode(parameters)}"


def new_github_user() -> dict[str, Any]:
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
    """Return the title of an error page, whose security headers must be strict."""
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


def pending_cookies(http: httpx.AsyncClient) -> dict[str, str]:
    """Return the cookies of the browser's pending sign-ins."""
    return {each.name: each.value or "" for each in http.cookies.jar if each.name.startswith(PENDING)}


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def challenge_of(verifier: str) -> str:
    return base64url(sha256(verifier.encode()).digest())

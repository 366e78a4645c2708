"""Tokens of an existing product: which ones sign users in, and which ones are rejected."""

import asyncio
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey, RSAKey

from db.embedded import Cluster
from db.engine import Database
from tests.support.clients import http_client
from tests.support.people import Person
from tests.support.removals import remove
from tests.support.serving import Server, running_server
from tests.support.stand_ins import CLIENT_ID, Issuer, new_key, public_pem, served

VIEWER = {"query": "{ viewer { username avatarUrl } }"}


@pytest.fixture(scope="module")
def issuer() -> Generator[Issuer]:
    issuer = Issuer()
    with served(issuer.app()) as issuer.url:
        yield issuer


@pytest.fixture(scope="module")
def server(
    issuer: Issuer, cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """A server that accepts the issuer's tokens."""
    with running_server(
        tmp_path_factory.mktemp("foreign"),
        database_url=cluster.url(),
        heartbeat_seconds="1",
        jwt_issuer=issuer.url,
        jwt_audience=CLIENT_ID,
        jwt_jwks_url=f"{issuer.url}/jwks",
    ) as running:
        yield running


@pytest.fixture
async def http(server: Server):
    async with http_client(server.url) as client:
        yield client


async def ask(http: httpx.AsyncClient, token: str) -> dict[str, Any]:
    response = await http.post("/graphql", json=VIEWER, headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    return response.json()


async def username(http: httpx.AsyncClient, token: str) -> str:
    answer = await ask(http, token)
    assert "errors" not in answer, answer
    return answer["data"]["viewer"]["username"]


@dataclass(frozen=True)
class InSeconds:
    """A time relative to when the test runs, which may be long after its collection."""

    seconds: float


def as_of_now(claims: dict[str, Any]) -> dict[str, Any]:
    return {
        name: time.time() + value.seconds if isinstance(value, InSeconds) else value
        for name, value in claims.items()
    }


async def test_a_token_signs_in_its_subject_and_creates_them_on_first_use(
    http: httpx.AsyncClient, issuer: Issuer
):
    subject, name = f"customer|{uuid4()}", f"ada-{uuid4().hex[:12]}"
    picture = f"https://pictures.example/{name}.png"
    answer = await ask(http, issuer.token(sub=subject, name=name, picture=picture))
    assert answer == {"data": {"viewer": {"username": name, "avatarUrl": picture}}}
    # The product may rename the user later; it is still the same user.
    assert await username(http, issuer.token(sub=subject, name="renamed")) == name
    assert await username(http, issuer.token(sub=f"another|{uuid4()}", name=name)) == f"{name}-2"


async def test_concurrent_first_requests_create_one_user(http: httpx.AsyncClient, issuer: Issuer):
    token = issuer.token(sub=uuid4().hex, name=f"ada-{uuid4().hex[:12]}")
    assert len(set(await asyncio.gather(*(username(http, token) for _ in range(20))))) == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["another", CLIENT_ID]},
        {"iat": None},
        {"exp": InSeconds(10**15)},
        {"exp": InSeconds(60.5)},
        {"nbf": InSeconds(5), "iat": InSeconds(5)},
        {"scope": "openid", "roles": ["x"], "name": 7, "picture": None},
    ],
    ids=str,
)
async def test_all_valid_forms_of_a_token_are_accepted(
    http: httpx.AsyncClient, issuer: Issuer, claims: dict[str, Any]
):
    await username(http, issuer.token(**{"sub": uuid4().hex, **as_of_now(claims)}))


async def test_a_slightly_late_clock_is_tolerated(http: httpx.AsyncClient, issuer: Issuer):
    await username(http, issuer.token(exp=int(time.time()) - 5))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": []},
        {"aud": None},
        {"aud": {CLIENT_ID: 1}},
        {"exp": InSeconds(-60)},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": float("nan")},
        {"exp": True},
        {"nbf": InSeconds(3600)},
        {"iat": InSeconds(3600)},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["ada"]},
        {"sub": "x" * 256},
        {"sub": "a\0b"},
    ],
    ids=str,
)
async def test_a_token_with_a_wrong_issuer_audience_or_time_is_rejected(
    http: httpx.AsyncClient, issuer: Issuer, claims: dict[str, Any]
):
    assert await refused(http, issuer.token(**as_of_now(claims)))


async def refused(http: httpx.AsyncClient, token: str) -> bool:
    answer = await ask(http, token)
    assert answer.get("data") in (None, {"viewer": None}), answer
    return answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def with_a_password(issuer: Issuer, password: bytes) -> str:
    signed = f"{encoded({'alg': 'HS256', 'kid': issuer.keys[-1].kid})}.{issuer.token().split('.')[1]}"
    signature = urlsafe_b64encode(hmac.digest(password, signed.encode(), "sha256")).rstrip(b"=").decode()
    return f"{signed}.{signature}"


def signed_with_header(issuer: Issuer, header: dict[str, Any]) -> str:
    """Return a token with a header that libraries refuse to create, and a valid signature."""
    key = issuer.keys[-1]
    assert isinstance(key, RSAKey)
    assert key.private_key is not None
    signed = f"{encoded({'alg': 'RS256', 'kid': key.kid, **header})}.{issuer.token().split('.')[1]}"
    signature = key.private_key.sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def of_another_key(issuer: Issuer) -> str:
    mallory = Issuer(url=issuer.url, header={"kid": issuer.keys[-1].kid})
    return mallory.token()


FORGERIES: dict[str, Callable[[Issuer], str]] = {
    "signed by another key": of_another_key,
    "signed with the public key as a password": lambda issuer: with_a_password(issuer, public_pem(issuer)),
    "signed with an empty password": lambda issuer: with_a_password(issuer, b""),
    "unsigned": lambda issuer: f"{encoded({'alg': 'none'})}.{issuer.token().split('.')[1]}.",
    "unsigned in capitals": lambda issuer: f"{encoded({'alg': 'NONE'})}.{issuer.token().split('.')[1]}.",
    "with other claims": lambda issuer: ".".join(
        (
            (parts := issuer.token().split("."))[0],
            encoded({"iss": issuer.url, "aud": CLIENT_ID, "sub": "grace", "exp": 10**10}),
            parts[2],
        )
    ),
    "without a signature": lambda issuer: issuer.token().rpartition(".")[0] + ".",
    "with a key of its own": lambda issuer: Issuer(
        url=issuer.url, header={"jwk": new_key().as_dict(private=False)}
    ).token(),
    "what must be understood and is not": lambda issuer: signed_with_header(issuer, {"crit": ["x"], "x": 1}),
    "no header": lambda issuer: f".{issuer.token().split('.')[1]}.x",
    "a list for a header": lambda issuer: f"{encoded(['RS256'])}.{encoded({})}.x",
    "a number for a header": lambda issuer: f"{encoded(1)}.{encoded({})}.x",
    "no algorithm": lambda issuer: f"{encoded({})}.{encoded({})}.x",
    "a strange algorithm": lambda issuer: f"{encoded({'alg': ['RS256']})}.{encoded({})}.x",
    "a strange key name": lambda issuer: f"{encoded({'alg': 'RS256', 'kid': [1]})}.{encoded({})}.x",
    "a strange critical": lambda issuer: signed_with_header(issuer, {"crit": 1}),
    "dots": lambda issuer: "..",
    "not base64": lambda issuer: "§.§.§".encode().decode("latin-1"),
    "deeply nested": lambda issuer: f"{urlsafe_b64encode(b'[' * 9000).decode()}.{encoded({})}.x",
}  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_or_malformed_token_is_rejected(
    http: httpx.AsyncClient, issuer: Issuer, forge: Callable[[Issuer], str]
):
    headers = [(b"authorization", b"Bearer " + forge(issuer).encode("latin-1"))]
    response = await http.post("/graphql", json=VIEWER, headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    # The message gives no hints to an attacker.
    assert "error" not in response.json()["errors"][0]["message"].lower()


async def test_a_token_is_only_accepted_as_a_bearer_token(http: httpx.AsyncClient, issuer: Issuer):
    token = issuer.token(sub=uuid4().hex)
    await username(http, token)
    in_cookie = await http.post("/graphql", json=VIEWER, headers={"cookie": f"messenger-session={token}"})
    assert in_cookie.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    for name in ("access_token", "bearer", "authorization"):
        in_url = await http.post(f"/graphql?{name}={token}", json=VIEWER)
        assert in_url.json() == {"data": {"viewer": None}}


async def test_a_token_has_no_session_to_refresh_or_end(http: httpx.AsyncClient, issuer: Issuer):
    for path in ("/auth/refresh", "/auth/logout"):
        response = await http.post(path, headers={"authorization": f"Bearer {issuer.token()}"})
        assert response.status_code == 401


async def test_a_new_key_is_accepted_immediately_and_unknown_keys_cause_few_fetches(
    server: Server, http: httpx.AsyncClient, issuer: Issuer
):
    await username(http, issuer.token())
    issuer.keys = [*issuer.keys, ECKey.generate_key("P-256", auto_kid=True)]
    issuer.header = {"alg": "ES256"}
    assert await username(http, issuer.token(sub="by elliptic curve", name=f"curve-{uuid4().hex[:8]}"))
    fetches = issuer.key_fetches
    for _ in range(20):
        issuer.header = {"alg": "ES256", "kid": uuid4().hex}
        assert await refused(http, issuer.token())
    issuer.header = {}
    issuer.keys = issuer.keys[:1]
    assert issuer.key_fetches <= fetches + 1


async def test_tokens_stay_valid_while_the_issuer_is_down(http: httpx.AsyncClient, issuer: Issuer):
    await username(http, issuer.token())
    issuer.is_down = True
    try:
        await username(http, issuer.token(sub=uuid4().hex))
    finally:
        issuer.is_down = False


async def test_a_server_without_keys_asks_to_retry(cluster: Cluster, issuer: Issuer, tmp_path: Path):
    issuer.is_down = True
    settings = {"jwt_issuer": issuer.url, "jwt_audience": CLIENT_ID, "jwt_jwks_url": f"{issuer.url}/jwks"}
    try:
        with running_server(tmp_path, database_url=cluster.url(), **settings) as server:
            async with http_client(server.url) as http:
                headers = {"authorization": f"Bearer {issuer.token()}"}
                response = await http.post("/graphql", json=VIEWER, headers=headers)
                assert response.status_code == 503
                assert response.headers["retry-after"] == "5"
                assert response.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    finally:
        issuer.is_down = False


async def person(http: httpx.AsyncClient, issuer: Issuer, lasts_seconds: int) -> Person:
    token = issuer.token(sub=uuid4().hex, name=f"ada-{uuid4().hex[:8]}", exp=int(time.time()) + lasts_seconds)
    return Person(await username(http, token), token, http)


async def test_a_stream_ends_with_its_token(http: httpx.AsyncClient, issuer: Issuer):
    ada = await person(http, issuer, lasts_seconds=3)
    async with ada.listening() as stream:
        answer = await stream.answer()
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await stream.event()).event == "complete"


async def test_a_stream_ends_when_its_user_is_removed(
    http: httpx.AsyncClient, issuer: Issuer, database: Database
):
    ada = await person(http, issuer, lasts_seconds=300)
    grace = await person(http, issuer, lasts_seconds=300)
    async with ada.listening() as at_ada, grace.listening() as at_grace:
        await remove(database, ada.username)
        assert (await at_ada.answer())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await at_ada.event()).event == "complete"
        # Streams of others continue.
        other = await person(http, issuer, lasts_seconds=300)
        conversation = await other.opens_conversation_with(grace)
        await other.sends("hello", to=conversation)
        assert await at_grace.contents(1) == ["hello"]

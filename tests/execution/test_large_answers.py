"""Answers and events are limited in bytes, errors and fields."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.server.graphql.asking import log_lines
from tests.support.clients import http_client
from tests.support.own_database import OwnDatabase
from tests.support.people import Person
from tests.support.serving import Server, running_server

MAX_BYTES = 50_000
UPDATE = """
    mutation ($url: String) {
        updateProfile(input: {avatarUrl: $url}) { user { avatarUrl } userErrors { code message path } }
    }
"""


@pytest.fixture(scope="module", params=["on", "off"], ids=["with plans", "without plans"])
async def small(
    cluster: Cluster,
    database: Database,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a server that limits answers to 50 kB."""
    settings = {"max_answer_bytes": str(MAX_BYTES), "plans": request.param}
    with running_server(tmp_path_factory.mktemp("small"), database_url=cluster.url(), **settings) as server:
        async with http_client(server.url) as http:
            yield http


def codes(answer: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


async def with_picture(http: httpx.AsyncClient) -> tuple[Person, str]:
    """Return a user with the longest possible picture URL, and their ID."""
    ada = await sign_in(http, "ada")
    url = "https://example.com/".ljust(2000, "x")
    assert (await ada.asks(UPDATE, url=url))["updateProfile"]["userErrors"] == []
    return ada, (await ada.asks("{ viewer { id } }"))["viewer"]["id"]


NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on User { %s } } }"


async def test_an_answer_over_the_limit_is_rejected_and_one_within_it_is_not(small: httpx.AsyncClient):
    ada, own_id = await with_picture(small)
    names = " ".join(f"a{number}: avatarUrl" for number in range(20))
    within = await ada.posts(NODES % names, ids=[own_id])
    assert (within.status_code, codes(within.json())) == (200, [])
    assert 40_000 < len(within.content) <= MAX_BYTES
    over = await ada.posts(NODES % names, ids=[own_id] * 2)
    answer = over.json()
    assert (answer["data"], codes(answer)) == (None, ["TOO_COMPLEX"])
    assert str(MAX_BYTES) in answer["errors"][0]["message"]


async def test_long_names_in_a_document_count_too(small: httpx.AsyncClient):
    ada, own_id = await with_picture(small)
    answer = await ada.answer(NODES % f"{'n' * 1000}: username", ids=[own_id] * 60)
    assert codes(answer) == ["TOO_COMPLEX"]


async def test_escaped_characters_count_as_their_escapes(small: httpx.AsyncClient):
    ada, grace = await sign_in(small, "ada"), await sign_in(small, "grace")
    conversation = await ada.opens_conversation_with(grace)
    # A control character takes six bytes: 400 characters are stored, and 2,395 bytes are written.
    message = await ada.sends("a" + "\x01" * 399, to=conversation)
    document = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Message { content } } }"
    within = await ada.posts(document, ids=[message["id"]] * 20)
    assert codes(within.json()) == []
    assert 48_000 < len(within.content) <= MAX_BYTES
    assert codes(await ada.answer(document, ids=[message["id"]] * 22)) == ["TOO_COMPLEX"]


async def test_an_event_over_the_limit_becomes_an_error_and_the_stream_continues(small: httpx.AsyncClient):
    (ada, _), grace = await with_picture(small), await sign_in(small, "grace")
    conversation = await ada.opens_conversation_with(grace)
    names = " ".join(f"a{number}: avatarUrl" for number in range(30))
    document = f"""
        subscription {{ messageCreated(includeMine: true) {{ cursor message {{
            content author {{ username ...Large @include(if: true) }}
        }} }} }}
        fragment Large on User {{ {names} }}
    """
    async with grace.streaming(document) as stream:
        await grace.sends("small", to=conversation)
        await ada.sends("large", to=conversation)
        await grace.sends("small again", to=conversation)
        first, large, last = [await stream.answer() for _ in range(3)]
    assert (codes(first), codes(large), codes(last)) == ([], ["TOO_COMPLEX"], [])
    assert large["data"] is None
    assert last["data"]["messageCreated"]["message"]["content"] == "small again"


async def test_escaped_characters_in_events_count_as_their_escapes(small: httpx.AsyncClient):
    """Also if the task that publishes the hint executes the event."""
    ada, grace = await sign_in(small, "ada"), await sign_in(small, "grace")
    conversation = await ada.opens_conversation_with(grace)
    names = " ".join(f"a{number}: content" for number in range(40))
    async with grace.streaming(
        f"subscription {{ messageCreated {{ cursor message {{ {names} }} }} }}"
    ) as stream:
        await ada.sends("small", to=conversation)
        assert codes(await stream.answer()) == []
        await ada.sends("a" + "\x01" * 399, to=conversation)
        assert codes(await stream.answer()) == ["TOO_COMPLEX"]


async def test_a_subscription_whose_events_could_be_too_large_is_rejected(small: httpx.AsyncClient):
    ada = await sign_in(small, "ada")
    document = """subscription { messageCreated { message { conversation {
        a: messages(last: 100) { edges { node { id content mine createdAt } } }
        b: messages(last: 100) { edges { node { id content mine createdAt } } }
    } } } }"""
    headers = {**ada.headers, "accept": "text/event-stream"}
    response = await small.post("/graphql", json={"query": document}, headers=headers)
    assert response.status_code == 400
    assert codes(response.json()) == ["TOO_COMPLEX"]
    assert "1000" in response.json()["errors"][0]["message"]
    reservation = (await small.put("/graphql/stream", headers=ada.headers)).text
    asked = {"query": document, "extensions": {"operationId": "a"}}
    own = {**ada.headers, "x-graphql-event-stream-token": reservation}
    response = await small.post("/graphql/stream", json=asked, headers=own)
    assert (response.status_code, codes(response.json())) == (400, ["TOO_COMPLEX"])
    # A query may ask for as many.
    assert codes(await ada.answer("{ conversations(first: 100) { edges { node { id } } } }")) == []


@pytest.mark.parametrize(
    "url",
    ["https://a/" + "\N{GRINNING FACE}", "https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example/"],
)
async def test_a_picture_url_must_be_ascii_and_the_error_says_how_to_encode_it(
    small: httpx.AsyncClient, url: str
):
    ada = await sign_in(small, "ada")
    payload = (await ada.asks(UPDATE, url=url))["updateProfile"]
    [error] = payload["userErrors"]
    assert (payload["user"], error["code"], error["path"]) == (None, "INVALID", ["input", "avatarUrl"])
    assert "Percent-encode" in error["message"]
    encoded = "https://xn--bcher-kva.example/%F0%9F%98%80.png"
    assert (await ada.asks(UPDATE, url=encoded))["updateProfile"]["user"] == {"avatarUrl": encoded}


@pytest.fixture(scope="module", params=["on", "off"], ids=["with plans", "without plans"])
async def failing(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncGenerator[tuple[Server, OwnDatabase]]:
    own = await OwnDatabase.create(cluster)
    folder = tmp_path_factory.mktemp("failing")
    with running_server(folder, database_url=own.url, plans=request.param) as server:
        yield server, own


async def test_of_many_errors_one_traceback_is_logged_and_a_hundred_are_listed(
    failing: tuple[Server, OwnDatabase],
):
    server, own = failing
    async with http_client(server.url) as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        message = await ada.sends("hello", to=await ada.opens_conversation_with(grace))
        many = " ".join(f"a{number}: node(id: $id) {{ id }}" for number in range(150))
        async with own.without("messages"):
            response = await ada.posts(f"query ($id: ID!) {{ {many} }}", id=message["id"])
        answer = response.json()
        assert codes(answer) == ["INTERNAL"] * 100
        assert answer["extensions"] == {"omittedErrors": 50}
        assert set(answer["data"].values()) == {None}
        fault, more, _ = await log_lines(server, response.headers["x-request-id"])
        assert "exception" in fault
        assert (more["level"], more["count"], "exception" in more) == ("error", 149, False)

"""Limits on sizes and rates; every rejection says when to retry."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import SignIn, sign_in
from tests.support.clients import http_client
from tests.support.people import CREATE_MESSAGE, Person
from tests.support.serving import eventually_async, running_server

VIEWER = {"query": "{ viewer { username } }"}
# The tests' own address counts as a proxy here, which forwards the client's address.
BEHIND_A_PROXY = {"rate_limits": "on", "trusted_proxies": "127.0.0.1", "dev_login": "on"}


def an_address() -> dict[str, str]:
    """Return the headers of a request from an address that no other test uses."""
    number = uuid4().int
    return {"x-forwarded-for": f"10.{number % 256}.{number // 256 % 256}.{number // 65536 % 256}"}


@asynccontextmanager
async def limited(cluster: Cluster, folder: Path, **settings: str) -> AsyncGenerator[httpx.AsyncClient]:
    """Connect to a server with these limits, from an address of its own."""
    with running_server(folder, database_url=cluster.url(), **BEHIND_A_PROXY, **settings) as server:
        async with http_client(server.url, headers=an_address()) as http:
            yield http


def is_refused(response: httpx.Response) -> bool:
    """Return whether the request was rejected, and check that the rejection says when to retry."""
    if response.status_code != 429:
        return False
    assert 1 <= int(response.headers["retry-after"]) <= 60
    body = response.json()
    if response.request.url.path.startswith("/graphql"):
        [error] = body["errors"]
        retry_after = int(response.headers["retry-after"])
        assert error["extensions"] == {"code": "RATE_LIMITED", "retryAfter": retry_after}
    else:
        error = body["error"]
        assert error["code"] == "RATE_LIMITED"
    assert error["message"]
    return True


async def refusals(http: httpx.AsyncClient, count: int, headers: dict[str, str] | None = None) -> list[bool]:
    return [is_refused(await http.post("/graphql", json=VIEWER, headers=headers)) for _ in range(count)]


async def test_the_requests_of_one_address_are_limited_and_those_of_another_are_not(
    cluster: Cluster, database: Database, tmp_path: Path
):
    async with limited(cluster, tmp_path, requests_per_minute_per_address="3") as http:
        assert await refusals(http, 5) == [False, False, False, True, True]
        assert await refusals(http, 1, an_address()) == [False]
        # Health checks and metrics are never rejected.
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert (await http.get(path)).status_code == 200


async def test_the_address_is_the_last_one_from_a_trusted_proxy(
    cluster: Cluster, database: Database, tmp_path: Path
):
    """Everything before that is what the client claims."""
    async with limited(cluster, tmp_path, requests_per_minute_per_address="3") as http:
        mine = an_address()["x-forwarded-for"]
        forged = [{"x-forwarded-for": f"{an_address()['x-forwarded-for']}, {mine}"} for _ in range(4)]
        assert [(await refusals(http, 1, headers))[0] for headers in forged] == [False, False, False, True]


async def test_an_invalid_forwarded_address_counts_as_the_proxy_s_own(
    cluster: Cluster, database: Database, tmp_path: Path
):
    async with limited(cluster, tmp_path, requests_per_minute_per_address="3") as http:
        handed_on = ["unknown", "_hidden", "999.1.1.1", "1.2.3.4, garbage", "[::"]
        found = [(await refusals(http, 1, {"x-forwarded-for": each}))[0] for each in handed_on]
        assert found == [False, False, False, True, True]
        assert await refusals(http, 1, {"x-forwarded-for": "203.0.113.7:4711"}) == [False]


@pytest.mark.parametrize("limit", ["max_streams_per_address", "sign_ins_per_minute_per_address"])
async def test_an_unconfigured_proxy_is_suspected_when_any_limit_is_exceeded(
    cluster: Cluster, database: Database, tmp_path: Path, limit: str
):
    settings = {"dev_login": "on", "rate_limits": "on", limit: "1"}
    with running_server(tmp_path, database_url=cluster.url(), **settings) as server:
        async with http_client(server.url) as http:
            ada = await sign_in(http, "ada")
            async with ada.listening():
                if limit == "max_streams_per_address":
                    body = {"query": "subscription { messageCreated { cursor } }"}
                    headers = {**ada.headers, **an_address(), "accept": "text/event-stream"}
                    assert is_refused(await http.post("/graphql", json=body, headers=headers))
                else:
                    assert (
                        await http.post("/auth/dev/login", json={}, headers=an_address())
                    ).status_code == 429
        assert server.log_path.read_text().count("MESSENGER_TRUSTED_PROXIES") == 1


async def test_addresses_of_one_ipv6_network_count_as_one(
    cluster: Cluster, database: Database, tmp_path: Path
):
    async with limited(cluster, tmp_path, requests_per_minute_per_address="3") as http:
        for network in ("2001:db8:1:1", "2001:db8:1:2"):
            addresses = [{"x-forwarded-for": f"{network}::{number}"} for number in range(1, 5)]
            found = [(await refusals(http, 1, headers))[0] for headers in addresses]
            assert found == [False, False, False, True]


async def test_without_a_trusted_proxy_forwarded_addresses_are_ignored(
    cluster: Cluster, database: Database, tmp_path: Path
):
    settings = {"rate_limits": "on", "requests_per_minute_per_address": "3"}
    with running_server(tmp_path, database_url=cluster.url(), **settings) as server:
        async with http_client(server.url) as http:
            found = [(await refusals(http, 1, an_address()))[0] for _ in range(5)]
            assert found == [False, False, False, True, True]
        # An operator who forgot to configure the proxy gets one warning.
        assert server.log_path.read_text().count("MESSENGER_TRUSTED_PROXIES") == 1


async def test_requests_of_a_user_are_limited_across_addresses(
    cluster: Cluster, database: Database, tmp_path: Path
):
    async with limited(cluster, tmp_path, requests_per_minute_per_user="3") as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        found = [(await refusals(http, 1, ada.headers | an_address()))[0] for _ in range(5)]
        assert found == [False, False, False, True, True]
        assert await refusals(http, 1, grace.headers) == [False]
        # Unauthenticated requests do not count towards a user's limit.
        assert await refusals(http, 5, an_address()) == [False] * 5


async def test_sign_ins_of_an_address_are_limited(cluster: Cluster, database: Database, tmp_path: Path):
    async with limited(cluster, tmp_path, sign_ins_per_minute_per_address="3") as http:
        paths = ["/auth/dev/login", "/auth/token", "/auth/refresh"]
        wrong_token = {"authorization": "Bearer wrong"}
        for path in paths:
            assert (await http.post(path, json={}, headers=wrong_token)).status_code in {400, 401}
        for path in paths:
            assert is_refused(await http.post(path, json={}, headers=wrong_token))
        # Users who are already signed in are not affected.
        assert await refusals(http, 1) == [False]
        assert (await http.post("/auth/dev/login", json={}, headers=an_address())).status_code == 400


async def test_messages_of_a_user_are_limited_and_the_error_says_when_to_retry(
    cluster: Cluster, database: Database, tmp_path: Path
):
    async with limited(cluster, tmp_path, messages_per_minute_per_user="3") as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        conversation = await ada.opens_conversation_with(grace)
        for number in range(3):
            await ada.sends(str(number), to=conversation)
        given = {"conversationId": conversation, "content": "too much"}
        answer = await ada.answer(CREATE_MESSAGE, input=given)
        assert answer["data"] is None
        [error] = answer["errors"]
        assert (error["path"], error["extensions"]["code"]) == (["createMessage"], "RATE_LIMITED")
        assert 1 <= error["extensions"]["retryAfter"] <= 60
        await grace.sends("still here", to=conversation)
        last = "query ($id: ID!) { conversation(id: $id) { lastMessage { content } } }"
        seen = await ada.asks(last, id=conversation)
        assert seen == {"conversation": {"lastMessage": {"content": "still here"}}}


async def test_every_message_in_a_request_counts(cluster: Cluster, database: Database, tmp_path: Path):
    async with limited(cluster, tmp_path, messages_per_minute_per_user="3") as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        conversation = await ada.opens_conversation_with(grace)
        five = " ".join(
            f'a{number}: createMessage(input: {{conversationId: "{conversation}", content: "{number}"}})'
            " { message { content } }"
            for number in range(5)
        )
        answer = await ada.answer(f"mutation {{ {five} }}")
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"RATE_LIMITED"}
        stored = "query ($id: ID!) { conversation(id: $id) { messages { edges { node { content } } } } }"
        edges = (await ada.asks(stored, id=conversation))["conversation"]["messages"]["edges"]
        assert [edge["node"]["content"] for edge in edges] == ["0", "1", "2"]


async def test_open_streams_are_limited_by_user_and_by_address(
    cluster: Cluster, database: Database, tmp_path: Path
):
    settings = {"max_streams_per_user": "2", "max_streams_per_address": "3"}
    async with limited(cluster, tmp_path, **settings) as http:
        ada, grace, eve = [await sign_in(http, name) for name in ("ada", "grace", "eve")]
        body = {"query": "subscription { messageCreated { cursor } }"}
        stream = {"accept": "text/event-stream"}
        async with AsyncExitStack() as open_streams:
            for _ in range(2):
                await open_streams.enter_async_context(ada.listening())
            assert is_refused(
                await http.post("/graphql", json=body, headers=ada.headers | stream | an_address())
            )
            async with grace.listening():
                refused = await http.post("/graphql", json=body, headers=eve.headers | stream)
                assert is_refused(refused)
                assert (await http.post("/graphql", json=VIEWER, headers=eve.headers)).status_code == 200

        # Ended streams do not count.
        async def is_open() -> bool:
            return not is_refused(await first_of_stream(http, body, ada.headers | stream))

        await eventually_async(is_open)


async def first_of_stream(http: httpx.AsyncClient, body: Any, headers: dict[str, str]) -> httpx.Response:
    """Open a stream, and close it once the response head has arrived."""
    async with http.stream("POST", "/graphql", json=body, headers=headers) as response:
        if response.status_code != 200:
            await response.aread()
        return response


async def test_a_reserved_stream_counts_like_any_other(cluster: Cluster, database: Database, tmp_path: Path):
    async with limited(cluster, tmp_path, max_streams_per_user="1") as http:
        ada = await sign_in(http, "ada")
        reserved = await http.put("/graphql/stream", headers=ada.headers)
        assert reserved.status_code == 201
        headers = ada.headers | {"accept": "text/event-stream", "x-graphql-event-stream-token": reserved.text}
        async with ada.listening():
            assert is_refused(await http.get("/graphql/stream", headers=headers))
        async with asyncio.timeout(20):
            while True:
                async with http.stream("GET", "/graphql/stream", headers=headers) as response:
                    if response.status_code == 200:
                        break


async def test_rate_limits_can_be_switched_off(cluster: Cluster, database: Database, tmp_path: Path):
    counted = ("requests_per_minute_per_user", "requests_per_minute_per_address")
    shared = ("messages_per_minute_per_user", "sign_ins_per_minute_per_address")
    settings = dict.fromkeys((*counted, *shared, "max_streams_per_user", "max_streams_per_address"), "1")
    with running_server(tmp_path, database_url=cluster.url(), rate_limits="off", **settings) as server:
        async with http_client(server.url) as http:
            ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
            conversation = await ada.opens_conversation_with(grace)
            async with grace.listening() as one, grace.listening() as other:
                for _ in range(3):
                    await ada.sends("hello", to=conversation)
                assert await one.contents(3) == await other.contents(3) == ["hello"] * 3


async def test_a_frontend_of_another_origin_can_read_retry_after(
    cluster: Cluster, database: Database, tmp_path: Path
):
    origin = "https://app.example.com"
    settings = {"requests_per_minute_per_address": "1", "allowed_origins": origin}
    async with limited(cluster, tmp_path, **settings) as http:
        await http.post("/graphql", json=VIEWER, headers={"origin": origin})
        response = await http.post("/graphql", json=VIEWER, headers={"origin": origin})
        assert is_refused(response)
        assert response.headers["access-control-allow-origin"] == origin
        assert "retry-after" in response.headers["access-control-expose-headers"]


CONVERSATIONS = """
    query ($first: Int! = 10, $last: Int) {
        conversations(first: $first) {
            edges {
                node { id participants { username } messages(last: $last) { edges { node { content } } } }
            }
        }
    }
"""


async def cost(person: Person, document: str, **variables: Any) -> int:
    body = {"query": document, "variables": variables, "extensions": {"cost": True}}
    answer = (await person.http.post("/graphql", json=body, headers=person.headers)).json()
    assert set(answer["extensions"]["cost"]) == {"requested", "maximum"}
    assert answer["extensions"]["cost"]["maximum"] == 125_000
    return answer["extensions"]["cost"]["requested"]


async def test_the_cost_of_a_query_follows_from_its_page_sizes(signs_in: SignIn):
    ada = await signs_in("ada")
    assert await cost(ada, "{ viewer { username } }") == 2
    # A node, its ID, its participants with at most five names, and its messages with their edges.
    each = 1 + 1 + (1 + 5) + 2
    assert await cost(ada, CONVERSATIONS) == 2 + 10 * (each + 25 * 2)
    assert await cost(ada, CONVERSATIONS, first=1, last=1) == 2 + 1 * (each + 1 * 2)
    assert await cost(ada, CONVERSATIONS, first=100, last=100) == 2 + 100 * (each + 100 * 2)
    assert await cost(ada, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 7) == 1 + 7
    assert await cost(ada, '{ nodes(ids: ["x", "y"]) { id } }') == 1 + 2
    assert await cost(ada, '{ nodes(ids: "x") { id } }') == 1 + 1
    assert await cost(ada, '{ searchUsers(search: "a") { id username } }') == 1 + 5 * 2
    paged = "{ conversations(first: 7) { ...P } } fragment P on ConversationConnection { edges { cursor } }"
    assert await cost(ada, paged) == 2 + 7
    fragments = "fragment F on User { username } { a: viewer { ...F } b: viewer { ...F ... { id } } }"
    assert await cost(ada, fragments) == 5


async def test_the_cost_is_reported_only_on_request(signs_in: SignIn):
    ada = await signs_in("ada")
    for extensions in (None, {}, {"cost": False}, {"cost": "yes"}):
        body = {**VIEWER, "extensions": extensions}
        answer = (await ada.http.post("/graphql", json=body, headers=ada.headers)).json()
        assert set(answer) == {"data"}


PAGES_IN_PAGES = """
    query ($n: Int!) {
        conversations(first: $n) { edges { node { messages(last: $n) { edges { node { conversation {
            messages(last: $n) { edges { node { content } } }
        } } } } } } }
    }
"""


async def test_a_query_that_costs_too_much_is_rejected_before_execution(signs_in: SignIn):
    ada = await signs_in("ada")
    await cost(ada, PAGES_IN_PAGES, n=10)
    for document, variables in (
        (PAGES_IN_PAGES, {"n": 100}),
        (PAGES_IN_PAGES, {"n": 10**9}),
        (PAGES_IN_PAGES, {"n": "many"}),
        (PAGES_IN_PAGES.replace("query ($n: Int!)", "query").replace("$n", "100"), {}),
    ):
        response = await ada.posts(document, **variables)
        assert response.status_code == 400
        [error] = response.json()["errors"]
        assert error["extensions"]["code"] == "TOO_COMPLEX"
        assert "smaller pages" in error["message"]
    # An invalid size is left to the execution to reject.
    answer = await ada.answer(PAGES_IN_PAGES, n=None)
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_the_maximum_cost_is_a_setting(cluster: Cluster, database: Database, tmp_path: Path):
    with running_server(tmp_path, database_url=cluster.url(), max_answer_fields="2") as server:
        async with http_client(server.url) as http:
            assert (await http.post("/graphql", json=VIEWER)).json() == {"data": {"viewer": None}}
            over = {"query": "{ viewer { username id } }"}
            response = await http.post("/graphql", json=over)
            assert response.json()["errors"][0]["extensions"]["code"] == "TOO_COMPLEX"

"""Limits on requests, sign-ins, messages and streams; every rejection says when to retry."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.server.endpoints.test_single_connection import Reserved, comes
from tests.support.clients import http_client
from tests.support.limits import BEHIND_A_PROXY, an_address, is_refused
from tests.support.people import CREATE_MESSAGE, MESSAGE_CREATED
from tests.support.serving import eventually_async, running_server

VIEWER = {"query": "{ viewer { username } }"}


@asynccontextmanager
async def limited(cluster: Cluster, folder: Path, **settings: str) -> AsyncGenerator[httpx.AsyncClient]:
    """Connect to a server with these limits, from an address of its own."""
    with running_server(folder, database_url=cluster.url(), **BEHIND_A_PROXY, **settings) as server:
        async with http_client(server.url, headers=an_address()) as http:
            yield http


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


async def test_new_conversations_and_changed_profiles_are_limited_in_each_request(
    cluster: Cluster, database: Database, tmp_path: Path
):
    settings = {"conversations_per_minute_per_user": "2", "profile_changes_per_hour_per_user": "3"}
    async with limited(cluster, tmp_path, **settings) as http:
        ada = await sign_in(http, "ada")
        others = [await sign_in(http, f"other{number}") for number in range(4)]
        opens = " ".join(
            f'c{number}: createConversation(input: {{username: "{other.username}"}}) {{ created }}'
            for number, other in enumerate(others)
        )
        answer = await ada.answer(f"mutation {{ {opens} }}")
        [error] = answer["errors"]
        assert (error["path"], error["extensions"]["code"]) == (["c2"], "RATE_LIMITED")
        assert 1 <= error["extensions"]["retryAfter"] <= 60
        # Conversations that exist already can be opened.
        assert await ada.opens_conversation_with(others[0])
        renames = " ".join(
            f'u{number}: updateProfile(input: {{username: "{ada.username}-{number}"}}) {{ user {{ id }} }}'
            for number in range(5)
        )
        answer = await ada.answer(f"mutation {{ {renames} }}")
        [error] = answer["errors"]
        assert (error["path"], error["extensions"]["code"]) == (["u3"], "RATE_LIMITED")
        assert 60 < error["extensions"]["retryAfter"] <= 3600
        assert "3 times in the last hour. Try again in 6" in error["message"]
        assert "0 minutes" in error["message"] or "59 minutes" in error["message"]
        assert await ada.asks("{ viewer { username } }") == {"viewer": {"username": f"{ada.username}-2"}}


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


async def test_subscriptions_of_a_reserved_stream_count_like_streams(
    cluster: Cluster, database: Database, tmp_path: Path
):
    async with limited(cluster, tmp_path, max_streams_per_user="3") as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        conversation = await ada.opens_conversation_with(grace)
        reserved = await Reserved.by(ada, (http, http))
        # With the reserved stream there are as many as allowed.
        await reserved.runs(MESSAGE_CREATED, "one")
        await reserved.runs(MESSAGE_CREATED, "two")
        async with reserved.opened() as stream:
            await reserved.runs(MESSAGE_CREATED, "three")
            operation, answer = await comes(stream)
            assert (operation, await comes(stream, "complete")) == ("three", ("three", None))
            assert answer is not None
            assert list(answer) == ["errors"]
            [error] = answer["errors"]
            assert error["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 10}
            assert "3 open streams" in error["message"]
            # Queries and the other subscriptions continue.
            await reserved.runs("{ viewer { username } }", "who")
            assert await comes(stream) == ("who", {"data": {"viewer": {"username": ada.username}}})
            assert await comes(stream, "complete") == ("who", None)
            await grace.sends("hello", to=conversation)
            assert {(await comes(stream))[0] for _ in range(2)} == {"one", "two"}
            body = {"query": "subscription { messageCreated { cursor } }"}
            headers = ada.headers | {"accept": "text/event-stream"}
            assert is_refused(await http.post("/graphql", json=body, headers=headers))
            # A stopped subscription does not count, nor does one that was rejected.
            await reserved.stops("one")
            assert await comes(stream, "complete") == ("one", None)
            await reserved.runs(MESSAGE_CREATED, "three")
            await grace.sends("hello again", to=conversation)
            assert {(await comes(stream))[0] for _ in range(2)} == {"two", "three"}


async def test_rate_limits_can_be_switched_off(cluster: Cluster, database: Database, tmp_path: Path):
    counted = ("requests_per_minute_per_user", "requests_per_minute_per_address")
    shared = ("messages_per_minute_per_user", "sign_ins_per_minute_per_address")
    others = ("conversations_per_minute_per_user", "profile_changes_per_hour_per_user")
    settings = dict.fromkeys(
        (*counted, *shared, *others, "max_streams_per_user", "max_streams_per_address"), "1"
    )
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

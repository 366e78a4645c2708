"""Answers while the server or its database fails."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from db.embedded import Cluster
from tests.conftest import sign_in
from tests.server.graphql.asking import AS_STREAM, VIEWER, log_lines, refused
from tests.support.clients import http_client
from tests.support.own_database import OwnDatabase
from tests.support.people import CREATE_MESSAGE
from tests.support.serving import Server, eventually, running_server

FRONTEND = "https://app.example.com"


@pytest.fixture(scope="module")
async def own_database(cluster: Cluster) -> OwnDatabase:
    return await OwnDatabase.create(cluster)


@pytest.fixture(scope="module")
async def own_server(
    own_database: OwnDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Server]:
    folder = tmp_path_factory.mktemp("own")
    # Does not cache sessions, so that every request queries the database.
    with running_server(
        folder, database_url=own_database.url, session_cache_seconds="0", allowed_origins=FRONTEND
    ) as running:
        yield running


@pytest.fixture
async def own_http(own_server: Server) -> AsyncGenerator[httpx.AsyncClient]:
    async with http_client(own_server.url) as http:
        yield http


async def test_an_internal_error_is_masked_and_logged_with_its_request_id(
    own_http: httpx.AsyncClient, own_server: Server, own_database: OwnDatabase
):
    ada, grace = await sign_in(own_http, "ada"), await sign_in(own_http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    message = await ada.sends("hello", to=conversation)
    query = "query ($id: ID!) { viewer { username } node(id: $id) { id } }"
    failed = 'messenger_operations_total{field="node",outcome="failed"}'
    async with own_database.without("messages"):
        response = await ada.posts(query, id=message["id"])
        async with grace.streaming(query, id=message["id"]) as stream:
            streamed = await stream.answer()
            assert (await stream.event()).event == "complete"
        await eventually(lambda: own_server.metric(failed) == 2)
    answer = response.json()
    request_id = response.headers["x-request-id"]
    assert response.status_code == 200
    assert answer["data"] == {"viewer": {"username": ada.username}, "node": None}
    [error] = answer["errors"]
    assert error["extensions"] == {"code": "INTERNAL", "requestId": request_id}
    assert error["path"] == ["node"]
    assert request_id in error["message"]
    assert "messages" not in response.text
    assert streamed["errors"][0]["extensions"]["code"] == "INTERNAL"
    fault, _ = await log_lines(own_server, request_id)
    assert fault["level"] == "error"
    assert fault["path"] == ["node"]
    assert "UndefinedTableError" in json.dumps(fault["exception"])
    assert "resolvers/loaders.py" in json.dumps(fault["exception"])
    assert (await ada.asks(query, id=message["id"]))["node"] == {"id": message["id"]}


async def test_an_internal_error_before_execution_is_readable_by_other_origins(
    own_http: httpx.AsyncClient, own_server: Server, own_database: OwnDatabase
):
    ada = await sign_in(own_http, "ada")
    asked = {"query": "subscription { messageCreated { cursor } }"}
    headers = {**ada.headers, "origin": FRONTEND}
    async with own_database.without("sessions"):
        responses = [
            await own_http.post("/graphql", json={"query": VIEWER}, headers=headers),
            await own_http.get("/graphql/stream", params=asked, headers={**headers, **AS_STREAM}),
            await own_http.put("/graphql/stream", headers=headers),
        ]
    for response in responses:
        request_id = response.headers["x-request-id"]
        assert request_id in refused(response, 500, "INTERNAL")
        assert response.json()["errors"][0]["extensions"]["requestId"] == request_id
        assert response.headers["access-control-allow-origin"] == FRONTEND
        assert response.headers["access-control-allow-credentials"] == "true"
        fault, _ = await log_lines(own_server, request_id)
        assert "UndefinedTableError" in json.dumps(fault["exception"])


async def test_an_internal_error_logs_no_token_and_no_message(
    own_http: httpx.AsyncClient, own_server: Server, own_database: OwnDatabase
):
    ada, grace = await sign_in(own_http, "ada"), await sign_in(own_http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    secret = uuid4().hex
    async with own_database.without("messages"):
        given = {"conversationId": conversation, "content": secret}
        answer = await ada.answer(CREATE_MESSAGE, input=given)
        assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
        assert secret not in str(answer)
    async with own_database.without("sessions"):
        for response in (await ada.posts(VIEWER), await own_http.post("/auth/logout", headers=ada.headers)):
            assert response.status_code == 500
            assert response.headers["x-request-id"] in response.text
            assert "sessions" not in response.text
            await log_lines(own_server, response.headers["x-request-id"])
    log = own_server.log_path.read_text()
    assert log.count("UndefinedTableError") >= 3
    assert ada.token not in log
    assert secret not in log


async def test_without_the_database_that_also_counts_rates_messages_are_unavailable(
    own_database: OwnDatabase, tmp_path: Path
):
    settings = {"rate_limits": "on", "rate_limit_store": "database", "session_cache_seconds": "60"}
    with running_server(tmp_path, database_url=own_database.url, **settings) as server:
        async with http_client(server.url) as http:
            ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
            conversation = await ada.opens_conversation_with(grace)
            given = {"conversationId": conversation, "content": "hello"}
            async with own_database.away():
                [error] = (await ada.answer(CREATE_MESSAGE, input=given))["errors"]
                assert error["extensions"]["code"] == "UNAVAILABLE"
            assert server.metric("messenger_rates_not_counted_total") == 1
            await ada.sends("hello", to=conversation)
            assert server.metric("messenger_rates_not_counted_total") == 1


async def test_without_its_database_the_server_is_not_ready_and_recovers_with_it(
    own_http: httpx.AsyncClient, own_server: Server, own_database: OwnDatabase
):
    ada = await sign_in(own_http, "ada")
    assert (await own_http.get("/health/ready")).status_code == 200
    async with own_database.away():
        ready = await own_http.get("/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "no answer from the database"})
        assert (await own_http.get("/health/live")).status_code == 200
        assert (await own_http.get("/metrics")).status_code == 200
        response = await ada.posts(VIEWER)
        refused(response, 503, "UNAVAILABLE")
        login = await own_http.post("/auth/dev/login", json={"username": ada.username})
        assert (login.status_code, login.json()["error"]["code"]) == (503, "UNAVAILABLE")
        for answer in (response, login):
            assert int(answer.headers["retry-after"]) >= 1
            assert "own_" not in answer.text
    assert (await own_http.get("/health/ready")).status_code == 200
    assert await ada.asks(VIEWER) == {"viewer": {"username": ada.username}}

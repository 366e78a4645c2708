"""A server with GraphiQL and introspection switched off: what browsers get, and what it does not reveal."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.server.graphql.asking import BROWSER, GRAPHQL_JSON, JSON, executed, posts, refused
from tests.support.clients import http_client
from tests.support.serving import running_server

AS_BROWSER = {"accept": BROWSER}


@pytest.fixture(scope="module")
async def plain(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("plain")
    with running_server(folder, database_url=cluster.url(), graphiql="off", introspection="off") as server:
        async with http_client(server.url) as http:
            yield http


async def test_a_browser_without_a_query_gets_a_description(plain: httpx.AsyncClient):
    response = await plain.get("/graphql", headers=AS_BROWSER)
    assert response.status_code == 400
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "<h1>This is a GraphQL API</h1>" in response.text
    assert "<script" not in response.text


async def test_a_browser_with_a_query_gets_an_answer(plain: httpx.AsyncClient):
    response = await plain.get("/graphql", params={"query": "{ __typename }"}, headers=AS_BROWSER)
    assert executed(response) == {"__typename": "Query"}
    assert response.headers["content-type"] == JSON
    refused(await plain.get("/graphql", params={"query": "{"}, headers=AS_BROWSER), 200)
    refused(await plain.get("/graphql", params={"quarry": "{ __typename }"}, headers=AS_BROWSER), 400)
    only_html = {"accept": "text/html"}
    refused(await plain.get("/graphql", params={"query": "{ __typename }"}, headers=only_html), 406)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/graphql-response+json"])
async def test_a_client_without_a_query_is_told_what_is_missing(plain: httpx.AsyncClient, accept: str):
    response = await plain.get("/graphql", headers={"accept": accept})
    assert "`query`, the document to execute, is missing" in refused(response, 400)


async def test_clients_are_not_affected(plain: httpx.AsyncClient):
    response = await posts(plain, {"query": "{ __typename }"}, "application/graphql-response+json")
    assert executed(response) == {"__typename": "Query"}
    assert response.headers["content-type"] == GRAPHQL_JSON


INTROSPECTING = {
    "the schema": "{ __schema { types { name } } }",
    "a type": '{ __type(name: "User") { fields { name } } }',
    "by a fragment": "{ ...f } fragment f on Query { __schema { queryType { name } } }",
    "next to another field": "{ viewer { id } a: __schema { mutationType { name } } }",
}


@pytest.mark.parametrize("document", INTROSPECTING.values(), ids=INTROSPECTING.keys())
async def test_introspection_is_rejected(plain: httpx.AsyncClient, document: str):
    for accept in ("application/json", "text/event-stream"):
        response = await posts(plain, {"query": document}, accept)
        assert '"BAD_USER_INPUT"' in response.text
        assert '"data"' not in response.text
    asked = {"query": "{ __typename viewer { __typename } }"}
    assert executed(await posts(plain, asked)) == {"__typename": "Query", "viewer": None}


MISTYPED = [
    "{ viewr { id } }",
    "{ viewer { usernam } }",
    '{ user(usrname: "ada") { id } }',
    "{ ...f } fragment f on Usr { id }",
    "mutation { createMessage(input: {contnt: 1}) { message { id } } }",
]


@pytest.mark.parametrize("document", MISTYPED)
async def test_errors_suggest_no_names_without_introspection(
    plain: httpx.AsyncClient, http: httpx.AsyncClient, document: str
):
    hidden, told = [await posts(each, {"query": document}) for each in (plain, http)]
    assert refused(hidden, 200)
    assert "Did you mean" not in hidden.text
    assert "Did you mean" in told.text


MISTYPED_VARIABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "an input object's field": (
        "mutation ($i: UpdateProfileInput!) { updateProfile(input: $i) { user { id } } }",
        {"i": {"usernam": "x"}},
    ),
    "next to a valid one": (
        "mutation ($i: CreateMessageInput!) { createMessage(input: $i) { message { id } } }",
        {"i": {"conversationId": "x", "content": "x", "contnet": "x"}},
    ),
    "of several variables": (
        "mutation ($a: EndSessionInput!, $b: ReadMessagesInput!) {"
        " endSession(input: $a) { endedSessionId } readMessages(input: $b) { conversation { id } } }",
        {"a": {"sesionId": "x"}, "b": {"conversatonId": "x"}},
    ),
    "a default": (
        'mutation ($i: UpdateProfileInput! = {usernam: "x"}) { updateProfile(input: $i) { user { id } } }',
        {},
    ),
}


@pytest.fixture(scope="module")
async def plain_without_plans(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("plain_without_plans")
    with running_server(folder, database_url=cluster.url(), introspection="off", plans="off") as server:
        async with http_client(server.url) as http:
            yield http


@pytest.mark.parametrize("asked", MISTYPED_VARIABLES.values(), ids=MISTYPED_VARIABLES.keys())
async def test_errors_in_variables_suggest_no_names_without_introspection(
    plain: httpx.AsyncClient,
    plain_without_plans: httpx.AsyncClient,
    http: httpx.AsyncClient,
    asked: tuple[str, dict[str, Any]],
):
    body = {"query": asked[0], "variables": asked[1]}
    for hidden in (plain, plain_without_plans):
        for accept in ("application/json", "text/event-stream"):
            response = await posts(hidden, body, accept)
            assert '"BAD_USER_INPUT"' in response.text
            assert "Did you mean" not in response.text
    assert "Did you mean" in (await posts(http, body)).text

"""What a browser gets at /graphql where GraphiQL is switched off."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.requests.asking import BROWSER, GRAPHQL_JSON, JSON, executed, posts, refused
from tests.serving import running_server

AS_BROWSER = {"accept": BROWSER}


@pytest.fixture(scope="module")
async def plain(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[httpx.AsyncClient]:
    with running_server(
        tmp_path_factory.mktemp("plain"), database_url=cluster.url(), graphiql="off"
    ) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            yield http


async def test_a_browser_that_asks_nothing_is_told_what_this_is(plain: httpx.AsyncClient):
    response = await plain.get("/graphql", headers=AS_BROWSER)
    assert response.status_code == 400
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "<h1>This is a GraphQL API</h1>" in response.text
    assert "<script" not in response.text


async def test_a_browser_that_asks_something_is_answered(plain: httpx.AsyncClient):
    response = await plain.get("/graphql", params={"query": "{ __typename }"}, headers=AS_BROWSER)
    assert executed(response) == {"__typename": "Query"}
    assert response.headers["content-type"] == JSON
    refused(await plain.get("/graphql", params={"query": "{"}, headers=AS_BROWSER), 200)
    refused(await plain.get("/graphql", params={"quarry": "{ __typename }"}, headers=AS_BROWSER), 400)
    only_html = {"accept": "text/html"}
    refused(await plain.get("/graphql", params={"query": "{ __typename }"}, headers=only_html), 406)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/graphql-response+json"])
async def test_a_client_that_asks_nothing_is_told_what_is_missing(plain: httpx.AsyncClient, accept: str):
    response = await plain.get("/graphql", headers={"accept": accept})
    assert "`query` is missing" in refused(response, 400)


async def test_clients_notice_nothing(plain: httpx.AsyncClient):
    response = await posts(plain, {"query": "{ __typename }"}, "application/graphql-response+json")
    assert executed(response) == {"__typename": "Query"}
    assert response.headers["content-type"] == GRAPHQL_JSON

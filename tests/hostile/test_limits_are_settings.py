"""Every limit on a request is a setting: a request just within it is answered, one just over it is not."""

import json
from collections.abc import AsyncGenerator

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.hostile.sending import codes, sends
from tests.hostile.test_documents import aliases, levels, selecting
from tests.support.clients import http_client
from tests.support.serving import running_server

BODY_BYTES = 2000


@pytest.fixture(scope="module")
async def strict(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[httpx.AsyncClient]:
    with running_server(
        tmp_path_factory.mktemp("strict"),
        database_url=cluster.url(),
        max_body_bytes=str(BODY_BYTES),
        max_query_tokens="40",
        max_query_depth="5",
        max_query_fields="8",
        max_query_aliases="3",
        max_query_directives="2",
    ) as server:
        async with http_client(server.url) as http:
            yield http


@pytest.mark.parametrize(
    ("within", "over"),
    [
        (selecting("__typename " * 8), selecting("__typename " * 9)),
        (selecting(aliases(3)), selecting(aliases(4))),
        (selecting("__typename @skip(if: false) " * 2), selecting("__typename @skip(if: false) " * 3)),
        (levels(5), levels(6)),
        ("query (" + "$a: Int " * 8 + ") { a }", "query (" + "$a: Int " * 9 + ") { a }"),
    ],
    ids=["fields", "aliases", "directives", "levels", "tokens"],
)
async def test_documents_are_limited_by_the_settings(strict: httpx.AsyncClient, within: str, over: str):
    response = await sends(strict, json.dumps({"query": within}))
    assert "TOO_COMPLEX" not in codes(response), response.text
    response = await sends(strict, json.dumps({"query": over}))
    assert (response.status_code, codes(response)) == (400, {"TOO_COMPLEX"})


async def test_bodies_are_limited_by_the_setting(strict: httpx.AsyncClient):
    body = json.dumps({"query": "{ __typename }"})
    assert (await sends(strict, body.ljust(BODY_BYTES))).status_code == 200
    assert (await sends(strict, body.ljust(BODY_BYTES + 1))).status_code == 413

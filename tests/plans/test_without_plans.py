"""With MESSENGER_PLANS=off, graphql-core executes all documents, and clients notice no difference."""

from collections.abc import AsyncGenerator

import httpx
import pytest
from graphql import build_client_schema, get_introspection_query

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.support.clients import http_client
from tests.support.serving import running_server


@pytest.fixture(scope="module")
async def unplanned(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("unplanned")
    with running_server(folder, database_url=cluster.url(), plans="off", rate_limits="on") as server:
        async with http_client(server.url) as http:
            yield http


async def test_messages_are_stored_and_delivered(unplanned: httpx.AsyncClient):
    ada, grace = await sign_in(unplanned, "ada"), await sign_in(unplanned, "grace")
    conversation = await ada.opens_conversation_with(grace)
    async with grace.listening() as one, grace.listening() as other:
        for text in ("one", "two", "three"):
            await ada.sends(text, to=conversation)
        assert await one.contents(3) == await other.contents(3) == ["one", "two", "three"]
    async with grace.listening(last_event_id=one.last_event_id) as again:
        await ada.sends("four", to=conversation)
        assert await again.contents(1) == ["four"]


async def test_rejected_requests_have_their_code(unplanned: httpx.AsyncClient):
    ada = await sign_in(unplanned, "ada")
    for document, code in (
        ("{ conversations(first: 0) { edges { cursor } } }", "BAD_USER_INPUT"),
        ('{ conversations(after: "x") { edges { cursor } } }', "CURSOR_INVALID"),
        ('subscription { messageCreated(after: "x") { cursor } }', "CURSOR_INVALID"),
    ):
        async with ada.streaming(document) as stream:
            assert (await stream.answer())["errors"][0]["extensions"]["code"] == code
            assert (await stream.event()).event == "complete"


async def test_the_schema_is_the_same(unplanned: httpx.AsyncClient, http: httpx.AsyncClient):
    query = {"query": get_introspection_query(specified_by_url=True)}
    answers = [(await each.post("/graphql", json=query)).json() for each in (unplanned, http)]
    assert answers[0] == answers[1]
    assert build_client_schema(answers[0]["data"]).query_type

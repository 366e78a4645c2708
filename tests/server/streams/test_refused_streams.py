"""Streams that the server ends with an error: a client that resumes loses no event."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx_sse import EventSource
from sqlalchemy import update

from db.embedded import Cluster
from db.engine import Database
from db.tables import inboxes
from schema.node import NodeType
from tests.conftest import sign_in
from tests.server.endpoints.test_single_connection import Reserved, comes
from tests.support.clients import http_client
from tests.support.people import MESSAGE_CREATED, Person, Stream, StreamOver
from tests.support.serving import Server, eventually, running_server
from tests.support.tables import tables

# An event costs 706 fields, however many messages the conversation has.
HEAVY = """
    subscription {
        messageCreated { cursor message { content conversation { messages(last: 100) { edges {
            cursor node { id content createdAt mine readByOthers }
        } } } } }
    }
"""


_PAGE = "messages(last: 100) { edges { cursor node { id content createdAt mine readByOthers } } }"
_PAGES = " ".join(f"a{number}: {_PAGE}" for number in range(4))
# An event costs about 2,800 fields.
HEAVIER = f"subscription {{ messageCreated {{ cursor message {{ content conversation {{ {_PAGES} }} }} }} }}"


@pytest.fixture(scope="module")
async def own_server(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Server]:
    with running_server(tmp_path_factory.mktemp("own"), database_url=cluster.url()) as server:
        yield server


@asynccontextmanager
async def two_people(server: Server) -> AsyncGenerator[tuple[Person, Person, str]]:
    async with http_client(server.url) as http:
        ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
        yield ada, grace, await ada.opens_conversation_with(grace)


async def skips_ahead(database: Database, person: Person) -> None:
    """Advance the user's inbox by five positions, and trim everything before."""
    user = NodeType.USER.decode((await person.asks("{ viewer { id } }"))["viewer"]["id"])
    later = inboxes.c.last_position + 5
    async with tables(database) as connection:
        await connection.execute(
            update(inboxes).where(inboxes.c.user_id == user).values(last_position=later, trimmed_to=later)
        )


def error_of(answer: dict[str, Any] | None) -> dict[str, Any]:
    assert answer is not None
    assert "data" not in answer
    [error] = answer["errors"]
    assert error["message"]
    return error["extensions"]


async def test_a_stream_that_has_fallen_behind_ends_with_cursor_expired(
    own_server: Server, database: Database
):
    ended = 'messenger_streams_ended_total{reason="complete"}'
    async with two_people(own_server) as (ada, grace, conversation), ada.listening() as stream:
        await grace.sends("one", to=conversation)
        assert await stream.contents(1) == ["one"]
        before = own_server.metric(ended)
        await skips_ahead(database, ada)
        await grace.sends("two", to=conversation)
        assert error_of(await stream.answer()) == {"code": "CURSOR_EXPIRED"}
        assert (await stream.event()).event == "complete"
        with pytest.raises(StreamOver):
            await stream.event()
        await eventually(lambda: own_server.metric(ended) == before + 1)
    assert "Traceback" not in own_server.log_path.read_text()


async def test_in_single_connection_mode_an_expired_cursor_ends_its_operation_alone(
    own_server: Server, database: Database
):
    async with two_people(own_server) as (ada, grace, conversation):
        reserved = await Reserved.by(ada, (ada.http, ada.http))
        async with reserved.opened() as stream:
            await reserved.runs(MESSAGE_CREATED, "behind")
            await grace.sends("one", to=conversation)
            assert (await comes(stream))[0] == "behind"
            await skips_ahead(database, ada)
            await grace.sends("two", to=conversation)
            operation, answer = await comes(stream)
            assert (operation, error_of(answer)) == ("behind", {"code": "CURSOR_EXPIRED"})
            assert (await comes(stream, "complete"))[0] == "behind"
            await reserved.runs(MESSAGE_CREATED, "afterwards")
            await grace.sends("three", to=conversation)
            operation, answer = await comes(stream)
            assert answer is not None
            created = answer["data"]["messageCreated"]["message"]
            assert (operation, created["content"]) == ("afterwards", "three")


@asynccontextmanager
async def with_budget(
    cluster: Cluster, folder: Path, fields_a_minute: int
) -> AsyncGenerator[tuple[Person, Person, str]]:
    """Return two users of a server that allows each of them this many fields per minute."""
    settings = {
        "rate_limits": "on",
        "cost_per_minute_per_user": str(fields_a_minute),
        "max_event_fields": "3000",
    }
    with running_server(folder, database_url=cluster.url(), **settings) as server:
        async with two_people(server) as people:
            yield people


async def uses_up(person: Person) -> None:
    """Send new documents until the user's budget does not allow another one."""
    async with asyncio.timeout(30):
        for number in range(1000):
            if (await person.posts(f"{{ a{number}: viewer {{ id }} }}")).status_code == 429:
                return
    raise AssertionError("the budget does not end")


async def test_an_event_that_is_waiting_when_the_session_ends_is_not_skipped(
    cluster: Cluster, database: Database, tmp_path: Path
):
    # Once the budget is used up, an event waits for some seconds.
    async with (
        with_budget(cluster, tmp_path, 12_000) as (ada, grace, conversation),
        ada.streaming(HEAVY) as stream,
    ):
        await grace.sends("one", to=conversation)
        first = await stream.event()
        await uses_up(ada)
        await grace.sends("two", to=conversation)
        await ada.http.post("/auth/logout", headers=ada.headers)
        last = await stream.event()
        assert error_of(json.loads(last.data)) == {"code": "UNAUTHENTICATED"}
        # A client resumes after the last ID that it has read.
        assert last.id == first.id
        assert (await stream.event()).event == "complete"


async def test_a_stream_over_its_budget_ends_with_an_error_and_can_be_resumed(
    cluster: Cluster, database: Database, tmp_path: Path
):
    # An event would have to wait for more than ten seconds. A new document costs hundreds of fields.
    async with with_budget(cluster, tmp_path, 12_000) as (ada, grace, conversation):
        async with ada.streaming(HEAVIER) as stream:
            await uses_up(ada)
            await grace.sends("one", to=conversation)
            refusal = error_of(await stream.answer())
            assert refusal["code"] == "RATE_LIMITED"
            assert 10 <= refusal["retryAfter"] <= 60
            place = stream.last_event_id
            assert (await stream.event()).event == "complete"
        # Other users have their own budgets.
        async with grace.listening(include_mine=True) as hers:
            await grace.sends("two", to=conversation)
            assert await hers.contents(1) == ["two"]
        light = {"query": "subscription { messageCreated { cursor message { content } } }"}
        headers = {**ada.headers, "accept": "text/event-stream", "last-event-id": place}
        async with asyncio.timeout(60):
            while True:
                async with ada.http.stream("POST", "/graphql", json=light, headers=headers) as response:
                    if response.status_code == 200:
                        resumed = Stream(response, EventSource(response).aiter_sse())
                        assert await resumed.contents(2) == ["one", "two"]
                        return
                    assert response.status_code == 429
                    # As clients do. The budget fills with time alone.
                    await asyncio.sleep(float(response.headers["retry-after"]))

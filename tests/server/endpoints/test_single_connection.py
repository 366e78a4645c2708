"""Single connection mode: one stream for all operations, and each request may go to any process."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from httpx_sse import EventSource
from sqlalchemy import text

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.realtime.test_relays import two_processes
from tests.support.clients import http_client
from tests.support.people import CREATE_MESSAGE, MESSAGE_CREATED, PATIENCE_SECONDS, Person, Stream, StreamOver
from tests.support.serving import Server, eventually_async, running_server
from tests.support.tables import tables

HEADER = "x-graphql-event-stream-token"


@pytest.fixture(scope="module")
def processes(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[tuple[Server, Server]]:
    with two_processes(
        tmp_path_factory.mktemp("single"),
        cluster,
        broadcast_url="postgresql://",
        max_stream_operations="20",
        max_reservations="3",
    ) as servers:
        yield servers


@pytest.fixture
async def clients(
    processes: tuple[Server, Server],
) -> AsyncGenerator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    one, other = (http_client(server.url) for server in processes)
    async with one, other:
        yield one, other


@dataclass
class Reserved:
    """A user's reservation, whose requests alternate between the processes."""

    person: Person
    token: str
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient]
    turn: int = 0

    @classmethod
    async def by(cls, person: Person, clients: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> "Reserved":
        response = await clients[0].put("/graphql", headers=person.headers)
        assert (response.status_code, response.headers["content-type"]) == (201, "text/plain; charset=utf-8")
        return cls(person, response.text, clients)

    @property
    def headers(self) -> dict[str, str]:
        return {**self.person.headers, HEADER: self.token}

    def client(self) -> httpx.AsyncClient:
        self.turn += 1
        return self.clients[self.turn % 2]

    async def posts(self, document: str, operation_id: str | None, **variables: Any) -> httpx.Response:
        extensions = {} if operation_id is None else {"operationId": operation_id}
        body = {"query": document, "variables": variables, "extensions": extensions}
        return await self.client().post("/graphql", json=body, headers=self.headers)

    async def runs(self, document: str, operation_id: str, **variables: Any) -> None:
        response = await self.posts(document, operation_id, **variables)
        assert (response.status_code, response.content) == (202, b""), response.text

    async def stops(self, operation_id: str) -> None:
        path = f"/graphql?operationId={operation_id}"
        assert (await self.client().delete(path, headers=self.headers)).status_code == 200

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Stream]:
        headers = {**self.headers, "accept": "text/event-stream"}
        async with self.client().stream("GET", "/graphql/stream", headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            yield Stream(response, EventSource(response).aiter_sse())


async def comes(stream: Stream, name: str = "next") -> tuple[str, dict[str, Any] | None]:
    """Return the operation ID and the payload of the next event."""
    event = await stream.event()
    assert event.event == name, event
    data = json.loads(event.data)
    return data["id"], data.get("payload")


async def test_all_operations_share_one_stream_whichever_process_gets_the_request(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
):
    john, jane = await sign_in(clients[0], "john"), await sign_in(clients[1], "jane")
    conversation = await john.opens_conversation_with(jane)
    reserved = await Reserved.by(jane, clients)
    async with reserved.opened() as stream:
        for listening in ("here", "there"):
            await reserved.runs(MESSAGE_CREATED, listening)
        # Live from the 202 on.
        for number in range(5):
            await john.sends(str(number), to=conversation)
        heard = [await comes(stream) for _ in range(10)]
        for listening in ("here", "there"):
            contents = [
                payload["data"]["messageCreated"]["message"]["content"]
                for operation_id, payload in heard
                if operation_id == listening and payload
            ]
            assert contents == [str(number) for number in range(5)]
        await reserved.runs("{ viewer { username } }", "who")
        assert await comes(stream) == ("who", {"data": {"viewer": {"username": jane.username}}})
        assert await comes(stream, "complete") == ("who", None)
        given = {"conversationId": conversation, "content": "an answer"}
        await reserved.runs(CREATE_MESSAGE, "who", input=given)
        assert (await comes(stream))[0] == "who"
        assert await comes(stream, "complete") == ("who", None)
        await reserved.stops("here")
        assert await comes(stream, "complete") == ("here", None)
        await john.sends("one listens still", to=conversation)
        assert (await comes(stream))[0] == "there"
        # The operation ID is free again.
        await reserved.runs("{ viewer { username } }", "here")
        assert (await comes(stream))[0] == "here"


async def test_operations_started_before_the_stream_opens_lose_nothing(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
):
    john, jane = await sign_in(clients[0], "john"), await sign_in(clients[1], "jane")
    conversation = await john.opens_conversation_with(jane)
    reserved = await Reserved.by(jane, clients)
    await reserved.runs(MESSAGE_CREATED, "listening")
    await reserved.runs("{ viewer { username } }", "who")
    await john.sends("before it opens", to=conversation)
    async with reserved.opened() as stream:
        events = [json.loads((await stream.event()).data) for _ in range(3)]
        answers = {event["id"]: event["payload"] for event in events if "payload" in event}
        assert answers["who"] == {"data": {"viewer": {"username": jane.username}}}
        message = answers["listening"]["data"]["messageCreated"]["message"]
        assert message["content"] == "before it opens"


async def test_a_subscription_resumes_by_cursor_on_another_reservation(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
):
    john, jane = await sign_in(clients[0], "john"), await sign_in(clients[1], "jane")
    conversation = await john.opens_conversation_with(jane)
    first = await Reserved.by(jane, clients)
    async with first.opened() as stream:
        await first.runs(MESSAGE_CREATED, "listening")
        await john.sends("heard", to=conversation)
        _, payload = await comes(stream)
        assert payload is not None
        cursor = payload["data"]["messageCreated"]["cursor"]
    await john.sends("missed", to=conversation)
    second = await Reserved.by(jane, clients)
    async with second.opened() as stream:
        await second.runs(MESSAGE_CREATED, "listening", after=cursor)
        _, payload = await comes(stream)
        assert payload is not None
        assert payload["data"]["messageCreated"]["message"]["content"] == "missed"


async def test_a_reservation_is_for_one_stream_and_ends_with_it(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
):
    jane = await sign_in(clients[0], "jane")
    reserved = await Reserved.by(jane, clients)
    stream_headers = {**reserved.headers, "accept": "text/event-stream"}
    async with reserved.opened():
        for client in clients:
            assert (await client.get("/graphql", headers=stream_headers)).status_code == 409
            again = await client.put("/graphql", headers=reserved.headers)
            assert again.status_code == 409

    async def is_spent() -> bool:
        return (await reserved.posts("{ viewer { id } }", "late")).status_code == 404

    await eventually_async(is_spent)
    assert (await clients[1].get("/graphql", headers=stream_headers)).status_code == 404


async def test_a_reservation_is_useless_to_other_users(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
):
    jane, eve = await sign_in(clients[0], "jane"), await sign_in(clients[1], "eve")
    reserved = await Reserved.by(jane, clients)
    stolen = Reserved(eve, reserved.token, clients)
    unauthenticated = {HEADER: reserved.token}
    for headers in (stolen.headers, unauthenticated, {**jane.headers, HEADER: "unknown"}):
        for client in clients:
            stream = await client.get("/graphql", headers={**headers, "accept": "text/event-stream"})
            post = await client.post("/graphql", headers=headers, json={"query": "{ viewer { id } }"})
            stop = await client.delete("/graphql?operationId=1", headers=headers)
            assert [each.status_code for each in (stream, post, stop)] == [404, 404, 404]
    assert (await clients[0].put("/graphql")).status_code == 401
    async with reserved.opened():
        pass


async def test_errors_of_an_operation_are_reported_immediately(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
):
    jane = await sign_in(clients[0], "jane")
    reserved = await Reserved.by(jane, clients)
    assert (await reserved.posts("{ viewer { id } }", None)).status_code == 400
    assert (await reserved.posts("{ viewer { id } }", "x" * 201)).status_code == 400
    assert (await reserved.posts("{ viewer { id } }", "nul\0")).status_code == 400
    assert (await reserved.posts("{ viewer { ", "1")).status_code == 400
    invalid = await reserved.posts("{ nothing }", "1")
    assert invalid.status_code == 400
    assert invalid.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    await reserved.runs(MESSAGE_CREATED, "1")
    assert (await reserved.posts("{ viewer { id } }", "1")).status_code == 409
    assert (await clients[0].delete("/graphql", headers=reserved.headers)).status_code == 400
    for number in range(2, 21):
        await reserved.runs(MESSAGE_CREATED, str(number))
    too_many = await reserved.posts(MESSAGE_CREATED, "21")
    assert (too_many.status_code, too_many.headers["retry-after"]) == (429, "1")
    wrong = await reserved.client().put("/graphql", headers={**jane.headers, "accept": "image/png"})
    assert wrong.status_code == 406


async def test_the_stream_ends_with_its_session(clients: tuple[httpx.AsyncClient, httpx.AsyncClient]):
    jane = await sign_in(clients[0], "jane")
    reserved = await Reserved.by(jane, clients)
    async with reserved.opened() as stream:
        await reserved.runs(MESSAGE_CREATED, "listening")
        assert (await clients[0].post("/auth/logout", headers=jane.headers)).status_code == 204
        operation_id, payload = await comes(stream)
        assert operation_id == "listening"
        assert payload is not None
        assert payload["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert await comes(stream, "complete") == ("listening", None)


async def test_an_ended_stream_leaves_nothing_in_the_database(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient], database: Database
):
    jane = await sign_in(clients[0], "jane")
    reserved = await Reserved.by(jane, clients)
    async with reserved.opened():
        await reserved.runs(MESSAGE_CREATED, f"listening-{uuid4().hex}")

    async def is_empty() -> bool:
        async with tables(database) as connection:
            query = text("""
                SELECT count(*) FROM reservations JOIN users ON users.id = user_id WHERE username = :name
            """)
            return await connection.scalar(query, {"name": jane.username}) == 0

    await eventually_async(is_empty)


async def test_the_number_of_reserved_streams_is_limited(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
):
    jane = await sign_in(clients[0], "jane")
    responses = await asyncio.gather(
        *(clients[number % 2].put("/graphql", headers=jane.headers) for number in range(20))
    )
    assert sorted(response.status_code for response in responses) == [201] * 3 + [429] * 17


async def test_operations_for_a_paused_process_wait_for_it(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
    processes: tuple[Server, Server],
    database: Database,
):
    jane = await sign_in(clients[0], "jane")
    reserved = await Reserved.by(jane, clients)
    reserved.turn = 1
    async with reserved.opened() as stream:
        processes[0].process.send_signal(signal.SIGSTOP)
        try:
            # Equivalent to half a minute ago.
            await set_back(database, jane, seconds=30)
            reserved.turn = 0
            await reserved.runs("{ viewer { username } }", "who")
        finally:
            processes[0].process.send_signal(signal.SIGCONT)
        assert await comes(stream) == ("who", {"data": {"viewer": {"username": jane.username}}})


async def test_a_stream_ends_when_its_reservation_has_been_deleted(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient], database: Database
):
    jane = await sign_in(clients[0], "jane")
    reserved = await Reserved.by(jane, clients)
    async with reserved.opened() as stream:
        async with tables(database) as connection:
            await connection.execute(
                text("DELETE FROM reservations USING users WHERE users.id = user_id AND username = :name"),
                {"name": jane.username},
            )
        async with asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(StreamOver):
                while True:
                    await stream.event()


async def set_back(database: Database, person: Person, *, seconds: int) -> None:
    """Pretend that the process that serves the user's stream has been silent for this time."""
    async with tables(database) as connection:
        await connection.execute(
            text("""
                UPDATE processes SET seen_at = clock_timestamp() - make_interval(secs => :seconds)
                FROM reservations JOIN users ON users.id = reservations.user_id
                WHERE processes.id = reservations.process_id AND users.username = :name
            """),
            {"name": person.username, "seconds": seconds},
        )


TYPES = "__schema { types { name description fields { name description } } }"
# About 100 kB.
LARGE = f"{{ {' '.join(f's{number}: {TYPES}' for number in range(6))} }}"


@pytest.fixture
async def small_mailboxes(cluster: Cluster, database: Database, tmp_path: Path) -> AsyncGenerator[Person]:
    """Sign in to a server whose mailboxes take answers until 160 kB wait in them."""
    with running_server(tmp_path, database_url=cluster.url(), max_answer_bytes="160000") as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            yield await sign_in(http, "jane")


async def answers_on(stream: Stream, count: int) -> dict[str, dict[str, Any]]:
    """Return the answers of the next operations, in order; each is complete after its answer."""
    found: dict[str, dict[str, Any]] = {}
    for _ in range(count):
        operation_id, answer = await comes(stream)
        assert answer is not None
        found[operation_id] = answer
        assert await comes(stream, "complete") == (operation_id, None)
    return found


async def test_a_full_mailbox_takes_no_operations_until_it_is_read(small_mailboxes: Person):
    jane = small_mailboxes
    reserved = await Reserved.by(jane, (jane.http, jane.http))
    assert 80_000 < len((await jane.posts(LARGE)).content) < 160_000
    for operation_id in ("first", "second"):
        await reserved.runs(LARGE, operation_id)
    full = await reserved.posts("{ viewer { username } }", "third")
    assert (full.status_code, full.headers["retry-after"]) == (429, "1")
    [error] = full.json()["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert "wait on the stream" in error["message"]
    async with reserved.opened() as stream:
        found = await answers_on(stream, 2)
        assert list(found) == ["first", "second"]
        assert all("errors" not in answer for answer in found.values())
        await reserved.runs(LARGE, "third")
        assert "errors" not in (await answers_on(stream, 1))["third"]


async def test_answers_that_find_a_full_mailbox_are_replaced_by_an_error(small_mailboxes: Person):
    jane = small_mailboxes
    reserved = await Reserved.by(jane, (jane.http, jane.http))
    responses = await asyncio.gather(*(reserved.posts(LARGE, str(number)) for number in range(10)))
    accepted = [str(number) for number, each in enumerate(responses) if each.status_code == 202]
    assert {each.status_code for each in responses} <= {202, 429}
    async with reserved.opened() as stream:
        found = await answers_on(stream, len(accepted))
    assert {*found} == {*accepted}
    discarded = [answer for answer in found.values() if "errors" in answer]
    # Two of them, which together exceed what waits, are delivered.
    assert len(found) - len(discarded) == 2
    for answer in discarded:
        assert answer["data"] is None
        [error] = answer["errors"]
        assert error["extensions"] == {"code": "TOO_COMPLEX"}
        assert "was executed" in error["message"]

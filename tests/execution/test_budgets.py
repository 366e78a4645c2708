"""Budgets: how much work one user or one address may cause in a process per minute."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from resolvers.errors import RateLimited
from server.config.loading import load_settings
from server.limits.budgets import Budgets, TokenBucket
from tests.conftest import sign_in
from tests.support.clients import http_client
from tests.support.limits import BEHIND_A_PROXY, an_address, is_refused
from tests.support.people import Person
from tests.support.serving import Server, running_server


def bucket(per_minute: int) -> TokenBucket:
    return TokenBucket(per_minute, "You have")


def test_a_budget_allows_a_minute_s_worth_at_once_and_says_when_to_retry():
    budget = bucket(600)
    budget.take(400)
    budget.take(150)
    with pytest.raises(RateLimited) as refused:
        budget.take(100)
    # Ten fields a second are added, and fifty are missing.
    assert refused.value.retry_after_seconds == 5
    assert "600 fields per minute" in str(refused.value)
    budget.take(40)


def test_refunded_work_is_available_again_up_to_a_full_budget():
    budget = bucket(600)
    budget.take(600)
    budget.charge(-500)
    budget.take(450)
    budget.charge(-10_000)
    budget.take(600)
    with pytest.raises(RateLimited):
        budget.take(100)


def test_an_overdrawn_budget_recovers_before_anything_else_begins():
    budget = bucket(600)
    budget.check()
    budget.charge(1200)
    with pytest.raises(RateLimited) as refused:
        budget.check()
    assert 60 <= refused.value.retry_after_seconds <= 61


def test_an_operation_larger_than_the_whole_budget_needs_and_reserves_a_full_one():
    budget = bucket(600)
    assert budget.take(10_000) == 600
    with pytest.raises(RateLimited) as refused:
        budget.take(10_000)
    assert refused.value.retry_after_seconds == 60


def test_a_debt_is_at_most_one_minute_s_worth():
    budget = bucket(600)
    for _ in range(20):
        budget.charge(10_000)
    with pytest.raises(RateLimited) as refused:
        budget.check()
    assert refused.value.retry_after_seconds <= 61


def test_the_bytes_of_an_answer_are_charged_until_nothing_is_left():
    budget = bucket(600)
    budget.take_bytes(59_000)
    budget.take_bytes(59_000)
    with pytest.raises(RateLimited) as refused:
        budget.take_bytes(1)
    assert 58 <= refused.value.retry_after_seconds <= 59


async def test_events_wait_for_the_budget_in_order_for_ten_seconds_at_most():
    budget = bucket(6000)
    budget.take(6000)
    done = list[int]()

    async def event(number: int) -> None:
        await budget.wait_for(10)
        done.append(number)

    async with asyncio.timeout(20):
        await asyncio.gather(*(event(number) for number in range(5)))
    assert done == [0, 1, 2, 3, 4]
    with pytest.raises(RateLimited) as refused:
        await budget.wait_for(2000)
    assert 10 <= refused.value.retry_after_seconds <= 20


def test_users_and_addresses_have_separate_budgets():
    budgets = Budgets(load_settings(cost_per_minute_per_user=10, cost_per_minute_per_address=20))
    one, other = uuid4(), uuid4()
    budgets.of(one, "10.0.0.1").take(10)
    with pytest.raises(RateLimited):
        budgets.of(one, "10.0.0.2").take(10)
    budgets.of(other, "10.0.0.1").take(10)
    budgets.of(None, "10.0.0.1").take(20)
    with pytest.raises(RateLimited):
        budgets.of(None, "10.0.0.1").take(20)
    unlimited = Budgets(load_settings(cost_per_minute_per_user=10, rate_limits=False))
    for _ in range(3):
        unlimited.of(one, None).take(10)


@pytest.fixture(scope="module")
def small_budgets(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    with running_server(
        tmp_path_factory.mktemp("budgets"),
        database_url=cluster.url(),
        cost_per_minute_per_user="4000",
        cost_per_minute_per_address="3000",
        **BEHIND_A_PROXY,
    ) as running:
        yield running


@pytest.fixture
async def http(small_budgets: Server) -> AsyncGenerator[httpx.AsyncClient]:
    """A client with an address of its own."""
    async with http_client(small_budgets.url, headers=an_address()) as client:
        yield client


async def test_requests_are_rejected_once_the_user_s_budget_is_used_up(http: httpx.AsyncClient):
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    page = "{ conversations(first: 100) { edges { node { id } } } }"
    # Unused cost is refunded: all of these pages are empty.
    for _ in range(20):
        await ada.asks(page)
    typename = "{ " + " ".join(f"a{number}: __typename" for number in range(150)) + " }"
    found = list[bool]()
    async with asyncio.timeout(60):
        while True not in found:
            found.append(is_refused(await ada.posts(typename)))
    assert len(found) > 5
    assert await grace.asks("{ viewer { username } }") == {"viewer": {"username": grace.username}}


async def test_statements_of_the_database_are_charged(http: httpx.AsyncClient):
    """An answer of thirty fields can take thirty statements, each of which costs as much as many fields."""
    ada = await sign_in(http, "ada")
    searches = " ".join(
        f'a{number}: searchUsers(search: "x{number}", first: 1) {{ id }}' for number in range(30)
    )
    refused = [is_refused(await ada.posts(f"{{ {searches} }}")) for _ in range(6)]
    assert (refused[0], refused[-1]) == (False, True)


PAGE = 'inboxEvents(after: "AFTER", kinds: [USER_UPDATED]) { cursor hasMore }'


async def full_inbox(person: Person, database: Database) -> str:
    """Fill the user's inbox with 10,000 entries, and return the cursor before them."""
    after = await person.inbox_cursor()
    async with database.connection() as connection:
        user_id = await connection.fetchval("SELECT id FROM users WHERE username = $1", person.username)
        await connection.execute(
            """
            INSERT INTO inbox_entries (user_id, position, kind, subject_id, created_at)
            SELECT $1, position, 5, $1, now() FROM generate_series(1, 10000) AS position
            """,
            user_id,
        )
        await connection.execute("UPDATE inboxes SET last_position = 10000 WHERE user_id = $1", user_id)
    return after


async def test_looking_through_an_inbox_is_charged(http: httpx.AsyncClient, database: Database):
    """A page without events costs as much as the entries that it has looked at."""
    ada = await sign_in(http, "ada")
    page = PAGE.replace("AFTER", await full_inbox(ada, database))
    found = [is_refused(await ada.posts(f"{{ {page} }}")) for _ in range(4)]
    assert found[0] is False
    assert True in found


async def test_looking_through_an_inbox_ends_when_the_budget_is_used_up(
    http: httpx.AsyncClient, database: Database
):
    """The reserved maximum does not include the statements."""
    ada = await sign_in(http, "ada")
    page = PAGE.replace("AFTER", await full_inbox(ada, database))
    pages = " ".join(f"a{number}: {page}" for number in range(3))
    answer = await ada.answer(f"{{ {pages} }}")
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"RATE_LIMITED"}


async def test_new_documents_are_charged_to_the_address_and_known_ones_are_not(http: httpx.AsyncClient):
    malformed = "{ viewer { id } " + "a " * 1000 + "("
    for document in ("{ __typename }", malformed, "{ nothing }"):
        for _ in range(30):
            response = await http.post("/graphql", json={"query": document})
            assert response.status_code == 200, response.text
    found = list[bool]()
    async with asyncio.timeout(60):
        for number in range(2000):
            if True not in found:
                new = {"query": malformed.replace("a ", f"a{number} ")}
                found.append(is_refused(await http.post("/graphql", json=new)))
    assert found[-1]
    # Known documents cost next to nothing, and other addresses are not affected.
    assert (await http.post("/graphql", json={"query": malformed})).status_code == 200
    elsewhere = {"query": "{ another: __typename }"}
    assert (await http.post("/graphql", json=elsewhere, headers=an_address())).status_code == 200


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (
            b'{"query": "{ __typename }", "variables": {"a": [' + b"0," * 9_000 + b" " * 200_000 + b"0]}}",
            1500,
        ),
        (b'{"query": "{ __typename }", "variables": {"a": [' + b"0," * 9_000 + b" " * 200_000 + b"]}}", 1500),
        (b'{"variables": ' + b"[" * 120 + b"[]," * 4000 + b"[]" + b"]" * 120 + b"}", 150),
        (b"[" * 250_000, 1000),
    ],
    ids=["numbers", "not JSON", "no query", "brackets"],
)
async def test_parsing_a_long_body_is_charged_to_the_address_even_if_it_is_rejected(
    http: httpx.AsyncClient, body: bytes, most: int
):
    found: list[int] = []
    while 429 not in found:
        assert len(found) < most
        response = await http.post("/graphql", content=body, headers={"content-type": "application/json"})
        found.append(429 if is_refused(response) else response.status_code)
    assert len(set(found)) == 2
    elsewhere = await http.post("/graphql", json={"query": "{ __typename }"}, headers=an_address())
    assert elsewhere.status_code == 200


@pytest.mark.parametrize("path", ["/graphql", "/auth/refresh"])
async def test_long_urls_are_charged_to_the_address(http: httpx.AsyncClient, path: str):
    short, long = (f"{path}?query=%7B__typename%7D&a=".ljust(length, "a") for length in (2000, 9600))
    for _ in range(20):
        assert not is_refused(await http.get(short))
    found = [is_refused(await http.get(long)) for _ in range(20)]
    assert False in found and found[-1]
    assert not is_refused(await http.get(long, headers=an_address()))


async def test_the_bytes_of_many_large_answers_are_charged_while_they_are_executed(
    cluster: Cluster, database: Database, tmp_path: Path
):
    """So few of them are completed, and the user can soon send the next request."""
    # It covers twenty answers by their fields, and one or two by their bytes, which are four million each.
    settings = {"cost_per_minute_per_user": "60000", "write_timeout_seconds": "120", **BEHIND_A_PROXY}
    with running_server(tmp_path, database_url=cluster.url(), **settings) as server:
        async with httpx.AsyncClient(base_url=server.url, headers=an_address(), timeout=120) as http:
            ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
            message = await ada.sends("\U0001f600" * 480, to=await ada.opens_conversation_with(grace))
            fields = " ".join(f"a{number}: content" for number in range(20))
            document = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on Message {{ {fields} }} }} }}"
            ids = [message["id"]] * 100
            answers = await asyncio.gather(*(ada.posts(document, ids=ids) for _ in range(20)))
            complete = [each for each in answers if each.status_code == 200 and each.json()["data"]]
            assert 1 <= len(complete) <= 5
            for each in answers:
                if each not in complete and not is_refused(each):
                    [error] = each.json()["errors"]
                    assert (each.status_code, each.json()["data"]) == (200, None)
                    assert error["extensions"]["code"] == "RATE_LIMITED"
                    assert 1 <= error["extensions"]["retryAfter"] <= 61
            assert await grace.asks("{ viewer { username } }") == {"viewer": {"username": grace.username}}


async def test_an_event_shared_by_streams_is_charged_once(http: httpx.AsyncClient):
    heavy = """
        subscription { inboxEvents { __typename ... on MessageCreated { message { content conversation {
            messages(last: 100) { edges { cursor node { id content createdAt mine readByOthers } } }
        } } } } }
    """
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    # Executing an event twenty times would cost more than twice the budget.
    async with asyncio.TaskGroup() as tasks:

        async def hear() -> None:
            async with ada.streaming(heavy) as stream:
                # Before it has caught up, a stream executes its events by itself.
                assert (await stream.answer())["data"]["inboxEvents"]["__typename"] == "CaughtUp"
                caught_up.release()
                answer = await stream.answer()
                assert "errors" not in answer, answer

        caught_up = asyncio.Semaphore(0)
        for _ in range(20):
            tasks.create_task(hear())
        for _ in range(20):
            await caught_up.acquire()
        await grace.sends("one", to=conversation)

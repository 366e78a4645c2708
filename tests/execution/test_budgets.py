"""Budgets: how much work one user or one address may cause in a process per minute."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from uuid import uuid4

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from resolvers.errors import RateLimited
from server.config.loading import load_settings
from server.limits.budgets import Budgets, TokenBucket
from tests.conftest import sign_in
from tests.server.limits.test_limits import BEHIND_A_PROXY, an_address, is_refused
from tests.support.clients import http_client
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


def test_an_operation_larger_than_the_whole_budget_needs_a_full_budget():
    budget = bucket(600)
    budget.take(10_000)
    with pytest.raises(RateLimited) as refused:
        budget.take(10_000)
    assert refused.value.retry_after_seconds > 600


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


async def test_an_event_shared_by_streams_is_charged_once(http: httpx.AsyncClient):
    heavy = """
        subscription { messageCreated { cursor message { content conversation {
            messages(last: 100) { edges { cursor node { id content createdAt mine readByOthers } } }
        } } } }
    """
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    conversation = await ada.opens_conversation_with(grace)
    # Executing an event twenty times would cost more than twice the budget.
    async with asyncio.TaskGroup() as tasks:

        async def hear() -> None:
            async with ada.streaming(heavy) as stream:
                begun.release()
                answer = await stream.answer()
                assert "errors" not in answer, answer

        begun = asyncio.Semaphore(0)
        for _ in range(20):
            tasks.create_task(hear())
        for _ in range(20):
            await begun.acquire()
        await grace.sends("one", to=conversation)

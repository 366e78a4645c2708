"""Documents that the server has not seen before."""

import asyncio

import pytest

from execution.api import Api
from execution.budgets import WORK_PER_SECOND
from execution.limits import DocumentTooComplex
from tests.conftest import SignIn
from tests.support.budgets import RecordingBudget
from tests.support.clients import http_client
from tests.support.serving import Server


async def test_others_are_served_while_many_new_documents_are_prepared(server: Server, signs_in: SignIn):
    """Each takes tens of milliseconds to validate, because fields of the same name are compared in pairs."""
    ada = await signs_in("ada")
    await ada.asks("{ viewer { id } }")
    prepared, first = 0, asyncio.Event()

    async def send(number: int) -> None:
        nonlocal prepared
        async with http_client(server.url) as http:
            document = f"query New{number} {{ {'viewer { id } ' * 80} }}"
            response = await http.post("/graphql", json={"query": document}, headers=ada.headers)
            assert response.json() == {"data": {"viewer": {"id": response.json()["data"]["viewer"]["id"]}}}
            prepared += 1
            first.set()

    async with asyncio.TaskGroup() as tasks:
        for number in range(80):
            tasks.create_task(send(number))
        await first.wait()
        await ada.asks("{ viewer { id } }")
        assert prepared < 60


async def turns_until(task: "asyncio.Task[object]") -> int:
    """Return how often the event loop got a turn before the task was done."""
    turns = 0
    async with asyncio.timeout(30):
        while not task.done():
            turns += 1
            # Without waiting, this loop would leave the thread hardly any time.
            await asyncio.sleep(0.001)
    return turns


EQUAL_FIELDS = "{ " + "viewer { id } " * 200 + "}"
TOO_MANY_EQUAL_FIELDS = "{ " + "viewer { id } " * 1200 + "}"


async def test_the_event_loop_goes_on_while_a_document_is_validated():
    preparing = asyncio.create_task(Api().prepare(EQUAL_FIELDS))
    assert await turns_until(preparing) > 5
    assert not preparing.result().errors


async def test_the_event_loop_goes_on_while_a_document_is_found_too_complex():
    preparing = asyncio.create_task(Api().prepare(TOO_MANY_EQUAL_FIELDS))
    assert await turns_until(preparing) > 5
    with pytest.raises(DocumentTooComplex):
        preparing.result()


async def test_the_event_loop_goes_on_while_an_operation_is_planned():
    """Each combination of skipped and included fields has a plan of its own."""
    api = Api()
    selected = (
        "edges { cursor node { id unreadCount lastMessage { id content createdAt author { id username } }"
        " otherParticipant { id username avatarUrl } } } pageInfo { hasNextPage endCursor }"
    )
    fields = " ".join(f"a{number}: conversations {{ {selected} }}" for number in range(25))
    document = (
        f"query ($all: Boolean!) {{ ...All @include(if: $all) ...All }} fragment All on Query {{ {fields} }}"
    )
    await api.operation(document, None, {"all": True}, "request")
    planning = asyncio.create_task(api.operation(document, None, {"all": False}, "request"))
    assert await turns_until(planning) > 1
    started = asyncio.create_task(api.operation(document, None, {"all": False}, "request"))
    assert await turns_until(started) == 1, "the plan is not cached"


async def test_a_cancelled_request_is_charged_for_its_document():
    budget = RecordingBudget()
    preparing = asyncio.create_task(Api().prepare(EQUAL_FIELDS, budget))
    async with asyncio.timeout(10):
        await budget.checked.wait()
    preparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await preparing
    assert budget.drawn > WORK_PER_SECOND / 100


async def test_owners_of_budgets_take_turns_however_many_documents_each_has():
    api, one, other = Api(), RecordingBudget(), RecordingBudget()
    done: list[str] = []

    async def prepare(number: int, budget: RecordingBudget, owner: str) -> None:
        await api.prepare(f"query Q{number} {EQUAL_FIELDS}", budget)
        done.append(owner)

    async with asyncio.TaskGroup() as tasks:
        for number in range(10):
            tasks.create_task(prepare(number, one, "one"))
        await one.checked.wait()
        tasks.create_task(prepare(10, other, "other"))
    assert done.index("other") <= 2, done


async def test_a_document_has_at_most_as_many_lines_as_tokens():
    """Each error is located by its line, and the lines before it are counted for that."""
    fields = " ".join(f"a{number}: nothing" for number in range(100))
    assert (await Api().prepare("\n" * 4000 + f"{{ {fields} }}")).errors
    for line_end in ("\n", "\r"):
        with pytest.raises(DocumentTooComplex, match="more than 5000 lines"):
            await Api().prepare(line_end * 5001 + f"{{ {fields} }}")

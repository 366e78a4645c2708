"""The limits of one execution of a plan:

the bytes and errors of its response, and the time on the event loop.
"""

import asyncio
from typing import Any

import pytest
import strawberry
from graphql import OperationDefinitionNode, parse

from plans import (
    BoundOperation,
    Bounds,
    ChargeBytes,
    PlanResult,
    ResponseTooLarge,
    Turns,
    plan_operation,
)
from tests.support.core_schema import core_schema


@strawberry.type
class Item:
    text: str
    number: int | None = None

    @strawberry.field
    async def later(self) -> str:
        return self.text

    @strawberry.field
    def broken(self) -> int | None:
        raise ValueError(self.text)

    @strawberry.field
    def items(self, count: int) -> list["Item"]:
        return [Item(text=self.text)] * count

    @strawberry.field
    def broken_items(self, count: int) -> list[int | None]:
        return [ValueError("broken")] * count  # pyright: ignore[reportReturnType]  # graphql-core raises it


@strawberry.type
class Query:
    @strawberry.field
    def items(self, count: int, text: str = "text") -> list[Item]:
        return [Item(text=text)] * count


SCHEMA = core_schema(strawberry.Schema(Query))


async def executed(
    text: str, bounds: Bounds, charge_bytes: ChargeBytes | None = None, **variables: Any
) -> PlanResult:
    node = parse(text)
    operation = node.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    bound = plan_operation(SCHEMA, node, operation).bind(variables)
    assert isinstance(bound, BoundOperation)
    return await bound.execute(None, None, bounds, charge_bytes)


LONG = {
    "one list": "{ items(count: 100000) { text number } }",
    "a list in a list": "{ items(count: 300) { items(count: 300) { text } } }",
    "many lists": "{ " + " ".join(f"l{n}: items(count: 9000) {{ text }}" for n in range(100)) + " }",
    "what is awaited": "{ items(count: 9000) { later } }",
    "what fails": "{ items(count: 20000) { broken } }",
    "items that fail": "{ items(count: 1) { brokenItems(count: 20000) } }",
    "lists that are awaited": "{ items(count: 100) { later items(count: 500) { text later } } }",
}


# The 200 values that are awaited together count as 2,000 fields.
MOST_WORK_IN_A_TURN = 4500


@pytest.mark.parametrize("document", LONG.values(), ids=LONG.keys())
async def test_a_long_execution_regularly_yields_to_the_event_loop(document: str):
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1
        await asyncio.sleep(0)

    bounds = Bounds(max_errors=10, next_turn=turn)
    result = await executed(document, bounds)
    assert turns >= result.work / MOST_WORK_IN_A_TURN
    assert result.data is not None


async def test_long_executions_continue_one_at_a_time():
    turns, order = Turns(), list[int]()

    async def execute(number: int) -> None:
        async def turn() -> None:
            await turns.wait()
            order.append(number)

        await executed("{ items(count: 8000) { text } }", Bounds(next_turn=turn))

    iterations = 0

    async def count_iterations() -> None:
        nonlocal iterations
        while True:
            await asyncio.sleep(0)
            iterations += 1

    counter = asyncio.create_task(count_iterations())
    await asyncio.gather(*(execute(number) for number in range(10)))
    counter.cancel()
    assert order[:20] == [*range(10), *range(10)]
    assert iterations >= len(order)


async def test_a_cancelled_execution_is_skipped():
    turns = Turns()
    waiting = [asyncio.ensure_future(turns.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting[1:])
        await turns.wait()


async def test_a_response_over_its_limit_is_abandoned_early():
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1

    bounds = Bounds(max_bytes=100_000, next_turn=turn)
    document = "query ($n: Int!, $fill: String!) { items(count: $n, text: $fill) { %s } }"
    for fields in ("text", "later", "items(count: 1) { text }"):
        found = await executed(document % fields, bounds, n=90, fill="x" * 1000)
        assert 90_000 < found.size < 100_000
        with pytest.raises(ResponseTooLarge):
            await executed(document % fields, bounds, n=100, fill="x" * 1000)
    turns = 0
    with pytest.raises(ResponseTooLarge):
        await executed(document % "text", bounds, n=100_000, fill="x" * 1000)
    assert turns == 0


class TooExpensive(Exception):
    pass


async def test_a_large_response_is_charged_while_it_grows_and_a_small_one_afterwards():
    document = "query ($n: Int!, $fill: String!) { items(count: $n, text: $fill) { text later } }"
    charged: list[int] = []
    small = await executed(document, Bounds(), charged.append, n=20, fill="x" * 1000)
    assert (charged, small.charged_bytes) == ([], 0)
    large = await executed(document, Bounds(), charged.append, n=10_000, fill="x" * 1000)
    assert len(charged) > 5
    assert sum(charged) == large.charged_bytes > large.size - 64 * 1024


@pytest.mark.parametrize(
    "document",
    [
        "{ items(count: 100000, text: $fill) { text } }",
        "{ items(count: 300, text: $fill) { later items(count: 300) { text later } } }",
        "{ a: items(count: 1, text: $fill) { later } "
        + " ".join(f"l{n}: items(count: 2000, text: $fill) {{ text }}" for n in range(50))
        + " }",
    ],
    ids=["one list", "lists in a list", "many lists"],
)
async def test_an_execution_ends_early_with_what_its_charging_raises(document: str):
    charged = 0

    def charge(count: int) -> None:
        nonlocal charged
        charged += count
        if charged > 5_000_000:
            raise TooExpensive

    with pytest.raises(TooExpensive):
        await executed("query ($fill: String!) " + document, Bounds(), charge, fill="x" * 1000)
    assert charged < 10_000_000


async def test_names_count_towards_the_size_of_a_response():
    name = "n" * 1000
    with pytest.raises(ResponseTooLarge):
        await executed(f"{{ items(count: 101) {{ {name}: number }} }}", Bounds(max_bytes=100_000))


async def test_errors_are_listed_up_to_a_limit_and_then_only_counted():
    for document in (
        "{ items(count: 5000) { text broken } }",
        "{ items(count: 1) { brokenItems(count: 5000) } }",
    ):
        result = await executed(document, Bounds(max_errors=7))
        assert (len(result.errors or ()), result.omitted_errors) == (7, 4993)
        assert result.data is not None

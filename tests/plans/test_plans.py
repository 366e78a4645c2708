"""Plans give the same answers as graphql-core, for every document and whatever resolvers do."""

# graphql-core does not type what its lists and non-null types wrap.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import strawberry
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    execute,
    get_introspection_query,
    parse,
    subscribe,
    validate,
)
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from plans import BoundOperation, Bounds, Unplannable, plan_operation
from plans.bounds import UNBOUNDED
from tests.plans.agreement import assert_same
from tests.plans.documents import Document, document_from
from tests.plans.forest import FOREST, Broken, Growth, growth_from
from tests.support.core_schema import core_schema

SCHEMA = core_schema(FOREST)


SEEDS = st.integers(0, 2**64).map(Random)


def parsed(document: Document) -> tuple[DocumentNode, OperationDefinitionNode]:
    node = parse(document.text)
    assert not validate(SCHEMA, node), (document.text, validate(SCHEMA, node))
    operation = node.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return node, operation


def bound(document: Document) -> BoundOperation:
    node, operation = parsed(document)
    found = plan_operation(SCHEMA, node, operation).bind(document.variables)
    assert isinstance(found, BoundOperation), found
    return found


async def by_plan(
    document: Document, root: Any, context: Any = None, bounds: Bounds = UNBOUNDED
) -> ExecutionResult:
    return await bound(document).execute(context, root, bounds)


async def by_reference(document: Document, root: Any, context: Any = None) -> ExecutionResult:
    result = execute(SCHEMA, parse(document.text), root, context, dict(document.variables))
    found = result if isinstance(result, ExecutionResult) else await result
    # It leaves coroutines behind that are no longer needed.
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        await asyncio.wait(left)
    assert isinstance(found, ExecutionResult)
    return found


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_immediate_values_give_exactly_the_answer_of_graphql_core(
    random: Random,
):
    document, root = document_from(random, SCHEMA), growth_from(random, at_once=True)

    async def compare() -> None:
        ours, reference = await by_plan(document, root), await by_reference(document, root)
        event(f"errors: {min(3, len(reference.errors or ()))}, data: {reference.data is not None}")
        assert_same(ours, reference, in_order=True)

    asyncio.run(compare())


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_asynchronous_values_give_the_answer_of_graphql_core(random: Random):
    document, root = document_from(random, SCHEMA), growth_from(random, at_once=False)

    async def compare() -> None:
        ours, reference = await by_plan(document, root), await by_reference(document, root)
        assert_same(ours, reference, in_order=False)

    asyncio.run(compare())


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(0, 5))
def test_lists_completed_in_parts_give_the_answer_of_graphql_core(random: Random, fields_at_a_time: int):
    document, root = document_from(random, SCHEMA), growth_from(random, at_once=random.random() < 0.5)

    async def compare() -> None:
        in_parts = Bounds(fields_at_a_time=fields_at_a_time)
        ours = await by_plan(document, root, bounds=in_parts)
        assert_same(ours, await by_reference(document, root), in_order=False)

    asyncio.run(compare())


INTROSPECTION = [
    get_introspection_query(
        specified_by_url=True, input_value_deprecation=True, directive_is_repeatable=True
    ),
    '{ __type(name: "Leaf") { name kind fields(includeDeprecated: true) { name } } __typename }',
    "query ($name: String!) { a: __type(name: $name) { name possibleTypes { name } } }",
]


@pytest.mark.parametrize("text", INTROSPECTION)
def test_introspection_gives_the_answer_of_graphql_core(text: str):
    document = Document(text, {"name": "Thing"})

    async def compare() -> None:
        assert_same(await by_plan(document, None), await by_reference(document, None), in_order=True)

    # On a loop of its own: the tests' loop also runs the tasks of fixtures, which outlast the test.
    asyncio.run(compare())


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_mutations_run_serially_and_stop_where_graphql_core_stops(random: Random):
    document = document_from(random, SCHEMA, "mutation")

    async def compare() -> None:
        ours_noted, noted = list[str](), list[str]()
        ours = await by_plan(document, None, ours_noted)
        reference = await by_reference(document, None, noted)
        assert_same(ours, reference, in_order=True)
        assert ours_noted == noted

    asyncio.run(compare())


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_each_event_of_a_subscription_gives_the_answer_of_graphql_core(random: Random):
    document, root = (
        document_from(random, SCHEMA, "subscription", only={"grown", "refused"}),
        growth_from(random, at_once=True),
    )
    # The field of the operation must not be conditional.
    assume(not validate(SCHEMA, parse(document.text)))

    async def compare() -> None:
        reference = subscribe(SCHEMA, parse(document.text), root, None, dict(document.variables))
        if not isinstance(reference, AsyncIterator | ExecutionResult):
            reference = await reference
        operation = bound(document)
        try:
            events = await operation.events(None, root)
        except GraphQLError as error:
            assert isinstance(reference, ExecutionResult)
            assert_same(ExecutionResult(None, [error]), reference, in_order=True)
            return
        assert not isinstance(reference, ExecutionResult)
        theirs = reference
        try:
            async for each in events:
                assert_same(await operation.execute(None, each), await anext(theirs), in_order=True)
        except Exception as error:  # the other must do the same
            with pytest.raises(type(error)):
                await anext(theirs)
            return
        with pytest.raises(StopAsyncIteration):
            await anext(theirs)

    asyncio.run(compare())


async def test_errors_below_a_nulled_field_are_not_reported():
    at_fault = Growth("Leaf", {"id": 1, "size": 1, "label": Broken("late"), "strict_label": Broken("soon")})
    later = Growth("Leaf", at_fault.values, frozenset({"label", "strict_label"}))
    document = Document("{ branch { leaf { strictLabel label } } }", {})
    result = await by_plan(document, Growth("Branch", {"id": 2, "leaf": later}))
    assert result.data == {"branch": {"leaf": None}}
    assert [error.message for error in result.errors or ()] == ["soon"]


@dataclass
class Waiting:
    begun: asyncio.Semaphore
    ended: int = 0


@strawberry.type
class Endless:
    @strawberry.field
    async def wait(self, info: strawberry.Info) -> int:
        info.context.begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            info.context.ended += 1
        return 1


async def test_a_cancelled_execution_leaves_no_tasks_running():
    schema = core_schema(strawberry.Schema(Endless))
    node = parse("{ one: wait two: wait }")
    operation = node.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    waiting = plan_operation(schema, node, operation).bind({})
    assert isinstance(waiting, BoundOperation)
    seen = Waiting(asyncio.Semaphore(0))
    before = asyncio.all_tasks()
    execution = asyncio.create_task(waiting.execute(seen, Endless()))
    async with asyncio.timeout(10):
        for _ in range(2):
            await seen.begun.acquire()
    execution.cancel()
    with pytest.raises(asyncio.CancelledError):
        await execution
    assert seen.ended == 2
    assert asyncio.all_tasks() == before


def test_unsupported_documents_are_rejected_before_anything_is_executed():
    for text in (
        "{ ... @defer { __typename } }",
        "query @experimental_disableErrorPropagation { __typename }",
    ):
        node = parse(text)
        operation = node.definitions[0]
        assert isinstance(operation, OperationDefinitionNode)
        with pytest.raises(Unplannable):
            plan_operation(SCHEMA, node, operation)


def test_at_most_sixteen_plans_for_skip_and_include_are_kept():
    names = [f"v{number}" for number in range(5)]
    fields = " ".join(f"{name}: __typename @skip(if: ${name})" for name in names)
    node = parse(f"query ({', '.join(f'${name}: Boolean!' for name in names)}) {{ {fields} }}")
    operation = node.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    plan = plan_operation(SCHEMA, node, operation)
    ways = [{name: bool(way >> bit & 1) for bit, name in enumerate(names)} for way in range(32)]
    for _ in range(2):
        for way in ways:
            operation = plan.bind(way)
            assert isinstance(operation, BoundOperation)
            result = operation.execute_at_once(None)
            assert result is not None
            assert result.data == {name: "Query" for name in names if not way[name]}
    assert plan.shape_count == 16

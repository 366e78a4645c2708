"""Generated source gives the answers of graphql-core, and does what executing field by field does."""

# graphql-core does not type its middleware.
# pyright: reportUnknownVariableType=false

import asyncio
import gc
import linecache
import traceback
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import strawberry
from graphql import (
    DocumentNode,
    ExecutionResult,
    NameNode,
    OperationDefinitionNode,
    Visitor,
    assert_object_type,
    execute,
    execute_sync,
    parse,
    validate,
    visit,
)
from hypothesis import event, given, settings
from hypothesis import strategies as st

from plans import BoundOperation, Bounds, OperationPlan, PlanResult, plan_operation
from plans.names import Names, attribute
from plans.source import compile_function
from tests.plans.agreement import assert_same
from tests.plans.documents import Document, document_from
from tests.plans.meadow import (
    COMPOSITE,
    LEAVES,
    MEADOW,
    ODD,
    RIGHT,
    Later,
    Plot,
    Raised,
    Seed,
    Wilted,
    grow,
    seed_from,
)
from tests.support.core_schema import core_schema

SCHEMA = core_schema(MEADOW)
SEEDS = st.integers(0, 2**64).map(Random)
# The names of the fields, by attribute.
NAMES = {
    field.extensions["strawberry-definition"].python_name: name
    for name, field in assert_object_type(SCHEMA.type_map["Plot"]).fields.items()
}
PARTS = st.sampled_from([0.0, 0.05, 0.2])


def planned(text: str, max_generated_fields: int = 300) -> OperationPlan:
    node = parse(text)
    assert not validate(SCHEMA, node), (text, validate(SCHEMA, node))
    operation = node.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return plan_operation(SCHEMA, node, operation, max_generated_fields=max_generated_fields)


def bound(document: Document, max_generated_fields: int = 300) -> BoundOperation:
    found = planned(document.text, max_generated_fields).bind(document.variables)
    assert isinstance(found, BoundOperation)
    return found


@dataclass
class Execution:
    """A result, what has been read for it in which order, and how often it has paused."""

    result: PlanResult | None
    reads: list[str]
    pauses: int = 0


async def executed(operation: BoundOperation, seed: Seed, fields_at_a_time: int) -> Execution:
    execution = Execution(None, [])

    async def pause() -> None:
        execution.pauses += 1
        await asyncio.sleep(0)

    bounds = Bounds(fields_at_a_time=fields_at_a_time, next_turn=pause)
    execution.result = await operation.execute(None, grow(seed, execution.reads), bounds)
    return execution


def executed_at_once(operation: BoundOperation, seed: Seed) -> Execution:
    reads: list[str] = []
    return Execution(operation.execute_at_once(None, grow(seed, reads)), reads)


def assert_identical(one: Execution, other: Execution) -> None:
    assert (one.reads, one.pauses) == (other.reads, other.pauses)
    if one.result is None or other.result is None:
        assert one.result is other.result
        return
    assert_same(one.result, other.result, in_order=True)
    counts = [(each.work, each.size, each.omitted_errors) for each in (one.result, other.result)]
    assert counts[0] == counts[1]


@settings(max_examples=150, deadline=None)
@given(SEEDS, PARTS)
def test_immediate_values_give_the_answer_of_graphql_core_by_the_same_reads(random: Random, odd: float):
    document, seed = document_from(random, SCHEMA), seed_from(random, at_once=True, odd=odd)

    async def compare() -> None:
        reads: list[str] = []
        reference = execute(SCHEMA, parse(document.text), grow(seed, reads), None, dict(document.variables))
        if not isinstance(reference, ExecutionResult):
            reference = await reference
        ours = await executed(bound(document), seed, 2000)
        assert ours.result is not None
        assert_same(ours.result, reference, in_order="soon" not in document.text)
        if "soon" not in document.text and "plots " not in document.text:
            assert ours.reads == reads
        event(f"errors: {bool(reference.errors)}")

    asyncio.run(compare())


@settings(max_examples=150, deadline=None)
@given(SEEDS, PARTS, st.booleans(), st.sampled_from([1, 3, 20, 2000]))
def test_generated_source_does_the_same_as_one_field_after_another(
    random: Random, odd: float, at_once: bool, fields_at_a_time: int
):
    document, seed = document_from(random, SCHEMA), seed_from(random, at_once=at_once, odd=odd)
    generated, one_by_one = bound(document), bound(document, 0)

    async def compare() -> None:
        assert_identical(
            await executed(generated, seed, fields_at_a_time),
            await executed(one_by_one, seed, fields_at_a_time),
        )

    asyncio.run(compare())
    assert_identical(executed_at_once(generated, seed), executed_at_once(one_by_one, seed))


@pytest.mark.parametrize("attribute", [*LEAVES, *COMPOSITE])
def test_every_value_of_an_attribute_gives_the_answer_of_graphql_core(attribute: str):
    field = f"{NAMES[attribute]} {COMPOSITE.get(attribute, '')}"
    # An attribute is read in another place if a field before it has a resolver.
    texts = [f"{{ plot {{ __typename {before} {field} isHere }} }}" for before in ("run", "isHere")]
    plot = Seed(lambda: Plot, {"title": "birch"})
    immediate = [*ODD, *(each for values in RIGHT.values() for each in values)]
    immediate += [plot, [plot, None, 7], [[plot]], [7, None], Wilted("returned"), Raised(Wilted("raised"))]
    pending = [Later(plot), Later("birch"), Later(None), Later(Raised(Wilted("later")))]

    async def compare(text: str) -> None:
        generated, one_by_one = bound(Document(text, {})), bound(Document(text, {}), 0)
        for value in [*immediate, *pending]:
            seed = Seed(lambda: Plot, {"run": True, attribute: value})
            ours = await executed(generated, seed, 2000)
            assert_identical(ours, await executed(one_by_one, seed, 2000))
            if not isinstance(value, Later):
                assert ours.result is not None
                reference = execute_sync(SCHEMA, parse(text), grow(seed, []))
                assert_same(ours.result, reference, in_order=True)

    for text in texts:
        asyncio.run(compare(text))


def test_resolvers_get_the_parameters_that_they_have():
    fields = "isHere nearest { title } named byKeyword alone { __typename } oneOf(number: 2) soon { title }"
    document = Document(f"{{ plot {{ {fields} }} }}", {})
    seed = Seed(lambda: Plot, {"run": True, "plots": []})
    ours = asyncio.run(executed(bound(document), seed, 2000))
    assert ours.result is not None
    assert (ours.result.errors, ours.result.data) == (
        None,
        {
            "plot": {
                "isHere": True,
                "nearest": None,
                "named": "Plot named",
                "byKeyword": "byKeyword",
                "alone": {"__typename": "Weed"},
                "oneOf": 4,
                "soon": [],
            }
        },
    )
    assert_identical(ours, asyncio.run(executed(bound(document, 0), seed, 2000)))


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(1, 12))
def test_a_plan_may_generate_source_for_a_part_of_its_fields(random: Random, limit: int):
    document, seed = document_from(random, SCHEMA), seed_from(random, at_once=False, odd=0.05)

    async def compare() -> None:
        reference = await executed(bound(document, 0), seed, 20)
        assert_identical(await executed(bound(document, limit), seed, 20), reference)

    asyncio.run(compare())


@strawberry.type
class Rose:
    name: str
    thorns: int | None = None

    @strawberry.field
    def scent(self) -> str | None:
        raise ValueError("it has a cold")


@strawberry.type
class Garden:
    @strawberry.field
    def rose(self) -> Rose:
        return Rose(name="Iceberg")


GARDEN = core_schema(strawberry.Schema(Garden))


def garden_plan(node: DocumentNode) -> OperationPlan:
    operation = node.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return plan_operation(GARDEN, node, operation)


class Renamed(Visitor):
    """Gives the alias `ALIAS` another name, which need not be one."""

    def __init__(self, alias: str) -> None:
        super().__init__()
        self._alias = alias

    def enter_name(self, node: NameNode, *_: Any) -> Any:
        return NameNode(value=self._alias) if node.value == "ALIAS" else None


def answer_of(plan: OperationPlan) -> PlanResult:
    operation = plan.bind({})
    assert isinstance(operation, BoundOperation)
    return asyncio.run(operation.execute(None))


@pytest.mark.parametrize(
    "alias",
    ["': 1}; raise SystemExit #", '"""', "a\nraise SystemExit", "\\", "{value}", "grün", "\N{SNOWMAN}\x00"],
)
def test_text_of_a_document_is_data_in_the_source(alias: str):
    node = visit(parse("{ rose { ALIAS: name thorns } }"), Renamed(alias))
    assert answer_of(garden_plan(node)).data == {"rose": {alias: "Iceberg", "thorns": None}}


def test_a_traceback_shows_the_generated_lines_until_the_plan_is_freed():
    plan = garden_plan(parse("{ rose { name scent } }"))
    errors = answer_of(plan).errors
    assert errors is not None
    shown = "".join(traceback.format_exception(errors[0].original_error))
    assert "value = scent(source)  # Rose.scent: String" in shown
    filename = next(name for name in linecache.cache if name.endswith(", complete_Rose"))
    del plan, errors
    # An error and the execution that its traceback shows refer to each other.
    gc.collect()
    assert filename not in linecache.cache


def test_a_plan_is_freed_without_the_garbage_collector():
    seed = seed_from(Random(1), at_once=True, odd=0)
    node = parse(
        "{ plot { isHere near { title soon { id } } plots { words __typename } living { id }"
        " either { __typename } } }"
    )
    operation = node.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)

    def plan_and_execute() -> None:
        bound = plan_operation(SCHEMA, node, operation).bind({})
        assert isinstance(bound, BoundOperation)
        bound.execute_at_once(None, grow(seed, []))

    plan_and_execute()
    gc.collect()
    gc.disable()
    try:
        plan_and_execute()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_equal_selections_share_their_code():
    source = "def number():\n    return NUMBER\n"
    one, two = (compile_function("number", source, {"NUMBER": each}).function for each in (1, 2))
    assert one.__code__ is two.__code__
    assert (one(), two()) == (1, 2)


def test_source_is_generated_up_to_a_number_of_fields():
    text = "{ plot { near { title near { title } } } }"
    for limit, expected in ((300, 3), (4, 3), (3, 2), (1, 1), (0, 0)):
        assert len(bound(Document(text, {}), limit).sources) == expected, limit


def test_names_that_mean_something_in_python_are_written_differently():
    names = Names("value", "run")
    assert [names.local(each) for each in ("class", "id", "value", "größe", "title", "title")] == [
        "class_",
        "id_",
        "value_1",
        "unnamed",
        "title",
        "title_1",
    ]
    assert attribute("source", "id") == "source.id"
    assert attribute("source", "class") == "getattr(source, 'class')"
    assert attribute("source", "größe") == "getattr(source, 'gr\\xf6\\xdfe')"


def test_a_listing_shows_how_each_field_is_resolved_and_the_source():
    listing = planned(
        "query Near($id: Boolean!) { plot { a: title living { id @include(if: $id) } soon { id } } }"
    ).listing()
    lines = [" ".join(line.split()) for line in listing.splitlines()]
    for line in (
        "# query Near ($id: Boolean!)",
        "# plot: Plot calls tests.plans.meadow.Query.plot",
        "# a: title: String! reads the attribute title",
        "# if it is of the type Animal:",
        "# id: ID! reads the attribute id",
        "# soon: [Plot!] awaits tests.plans.meadow.Plot.soon",
        "def complete_Animal(run, source, place):",
        "value = source.title # Plot.title: String!",
    ):
        assert line in lines, line
    compile(listing, "listing", "exec")

"""A resolver sees what is selected below its field, with and without a plan."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false

from typing import Annotated, Any

import pytest
import strawberry
from graphql import FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode, parse
from graphql.execution.values import VariableValues

from plans import BoundOperation, LookAhead, look_ahead, plan_operation, variables_of


@strawberry.interface
class Thing:
    name: str


@strawberry.type
class Page:
    total: int

    @strawberry.field
    async def things(self, first: int = 10, after: str | None = None) -> list[Thing]:
        return []


@strawberry.type
class Shelf(Thing):
    width: int

    @strawberry.field
    def page(self) -> Page:
        return Page(total=0)


@strawberry.type
class Book(Thing):
    @strawberry.field
    def shelf(self) -> Shelf:
        return Shelf(name="a shelf", width=2)


seen: list[dict[str, Any]] = []


def described(selected: LookAhead, variables: Any) -> dict[str, Any]:
    return {
        name: (
            field.may_wait,
            None if field.arguments is None else field.arguments(variables),
            described(field.below, variables),
        )
        for name, field in selected.fields.items()
    }


@strawberry.type
class Query:
    @strawberry.field
    def thing(self, info: strawberry.Info, name: Annotated[str, strawberry.argument()] = "x") -> Thing | None:
        seen.append(described(look_ahead(info), variables_of(info)))
        return None


SCHEMA = strawberry.Schema(Query, types=[Shelf, Book])
CORE: GraphQLSchema = SCHEMA._schema  # pyright: ignore[reportPrivateUsage]  # the schema that plans are made for


async def seen_by_a_resolver(document: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Return what the resolver sees, which must be the same with and without a plan."""
    seen.clear()
    parsed = parse(document)
    [operation] = [each for each in parsed.definitions if isinstance(each, OperationDefinitionNode)]
    bound = plan_operation(CORE, parsed, operation).bind(variables)
    assert isinstance(bound, BoundOperation)
    assert not (await bound.execute(None)).errors
    result = await SCHEMA.execute(document, variable_values=variables)
    assert not result.errors
    planned, unplanned = seen
    assert planned == unplanned
    return planned


LEAF: tuple[bool, dict[str, Any], dict[str, Any]] = (False, {}, {})


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("{ thing { name } }", {}, {"name": LEAF}),
    ("{ thing { __typename } }", {}, {}),
    ("{ thing { a: name b: name } }", {}, {"name": (False, None, {})}),
    # The fields of all types that the thing may have.
    (
        "{ thing { ...on Shelf { width } ...on Book { shelf { name } } } }",
        {},
        {"width": LEAF, "shelf": (False, {}, {"name": LEAF})},
    ),
    (
        "query ($first: Int!) { thing { ...on Shelf { page { ...of } } } }"
        " fragment of on Page { things(first: $first) { name } }",
        {"first": 3},
        {"page": (False, {}, {"things": (True, {"first": 3, "after": None}, {"name": LEAF})})},
    ),
    (
        "{ thing { ...on Shelf { page { a: things(first: 1) { name } b: things { __typename } } } } }",
        {},
        {"page": (False, {}, {"things": (True, None, {"name": LEAF})})},
    ),
    (
        "query ($with: Boolean!) { thing { name @skip(if: $with) ...it @include(if: $with) } }"
        " fragment it on Shelf { width }",
        {"with": True},
        {"width": LEAF},
    ),
    (
        "query ($with: Boolean!) { thing { name @skip(if: $with) ...it @include(if: $with) } }"
        " fragment it on Shelf { width }",
        {"with": False},
        {"name": LEAF},
    ),
]


@pytest.mark.parametrize(("document", "variables", "expected"), CASES)
async def test_a_resolver_sees_what_is_selected_below_its_field(
    document: str, variables: dict[str, Any], expected: dict[str, Any]
):
    assert await seen_by_a_resolver(document, variables) == expected


async def test_each_combination_of_skipped_fields_is_seen_for_itself():
    document = "query ($with: Boolean!) { thing { name @include(if: $with) } }"
    parsed = parse(document)
    [operation] = [each for each in parsed.definitions if isinstance(each, OperationDefinitionNode)]
    plan = plan_operation(CORE, parsed, operation)
    for given in (True, False, True):
        seen.clear()
        bound = plan.bind({"with": given})
        assert isinstance(bound, BoundOperation)
        await bound.execute(None)
        assert ("name" in seen[0]) == given


async def test_what_is_derived_from_a_selection_is_derived_once():
    parsed = parse("{ thing { name } }")
    [operation] = [each for each in parsed.definitions if isinstance(each, OperationDefinitionNode)]
    [node] = operation.selection_set.selections
    selected = LookAhead.of(
        CORE.get_type("Thing"),  # pyright: ignore[reportArgumentType]  # it exists
        [node],  # pyright: ignore[reportArgumentType]  # it is a field
        schema=CORE,
        operation=operation,
        fragments={},
        variables=VariableValues({}, {}),
    )
    calls: list[LookAhead] = []

    def derived(given: LookAhead) -> int:
        calls.append(given)
        return len(given.fields)

    assert [selected.derive(derived, otherwise=0) for _ in range(2)] == [1, 1]
    assert calls == [selected]


@pytest.mark.parametrize(("aliases", "is_too_large"), [(9, False), (600, True)])
async def test_large_operations_are_not_looked_at(aliases: int, is_too_large: bool):
    # Each spread has three fields more.
    names = " ".join(f"a{number}: name ...it" for number in range(aliases // 3))
    document = f"{{ thing {{ {names} }} }} fragment it on Shelf {{ width page {{ __typename }} }}"
    parsed = parse(document)
    [operation, fragment] = parsed.definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert isinstance(fragment, FragmentDefinitionNode)
    [node] = operation.selection_set.selections
    ahead = LookAhead.of(
        CORE.get_type("Thing"),  # pyright: ignore[reportArgumentType]  # it exists
        [node],  # pyright: ignore[reportArgumentType]  # it is a field
        schema=CORE,
        operation=operation,
        fragments={"it": fragment},
        variables=VariableValues({}, {}),
    )
    assert ahead.is_too_large == is_too_large
    assert ahead.derive(lambda _: "looked at", otherwise="not looked at") == (
        "not looked at" if is_too_large else "looked at"
    )

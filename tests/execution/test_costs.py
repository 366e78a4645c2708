"""The cost of an operation is at least the size of its answer, whatever lists it asks for."""

# graphql-core does not type what its lists and non-null types wrap.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any, cast

import httpx
import pytest
from graphql import (
    GraphQLObjectType,
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)
from strawberry.schema import Schema

from execution.api import Api
from resolvers.inbox import MAX_SEARCH_COST
from schema.list_sizes import is_paged, max_items
from tests.conftest import SignIn

API = Api()
SCHEMA = cast(Schema, API._schema)._schema  # pyright: ignore[reportPrivateUsage]  # sizes are noted at graphql-core's fields


def field_count(value: object) -> int:
    """Return the number of fields in an answer."""
    if isinstance(value, dict):
        return sum(1 + field_count(each) for each in cast("dict[str, object]", value).values())
    return sum(map(field_count, cast("list[object]", value))) if isinstance(value, list) else 0


def test_every_list_of_objects_has_a_size_or_is_paged():
    """A list without a size would count as a page of a hundred, whatever its length."""
    for kind in SCHEMA.type_map.values():
        if not isinstance(kind, GraphQLObjectType) or kind.name.startswith("__"):
            continue
        for name, field in kind.fields.items():
            is_list = is_list_type(get_nullable_type(field.type)) and is_composite_type(
                get_named_type(field.type)
            )
            if is_list and not {"first", "ids"} & set(field.args) and name != "edges" and not is_paged(field):
                assert max_items(field) is not None, (
                    f"{kind.name}.{name}: say how long it can be with `metadata=at_most(...)`"
                )


async def test_events_of_a_page_cost_as_many_as_are_requested_and_the_search_for_them(
    http: httpx.AsyncClient, signs_in: SignIn
):
    ada = await signs_in("ada")
    cursor = await ada.inbox_cursor()
    for first, events in ((", first: 7", 7), ("", 100)):
        document = f'{{ inboxEvents(after: "{cursor}"{first}) {{ cursor events {{ cursor occurredAt }} }} }}'
        cost, _ = await reported_cost(http, document, **ada.headers)
        assert cost == MAX_SEARCH_COST + 1 + 1 + 1 + events * 2


async def reported_cost(http: httpx.AsyncClient, document: str, **headers: str) -> tuple[int, int]:
    """Return the cost of a document, and the number of fields in its answer."""
    body = {"query": document, "extensions": {"cost": True}}
    answer: dict[str, Any] = (await http.post("/graphql", json=body, headers=headers)).json()
    assert "errors" not in answer, answer["errors"][0]
    return answer["extensions"]["cost"]["requested"], field_count(answer["data"])


async def test_a_list_costs_as_much_as_its_largest_answer(http: httpx.AsyncClient, signs_in: SignIn):
    ada = await signs_in("ada")
    assert await reported_cost(http, "{ sessions { id createdAt } }", **ada.headers) == (1 + 100 * 2, 1 + 2)
    document = 'mutation { createConversation(input: {username: ""}) { userErrors { code message } } }'
    assert await reported_cost(http, document, **ada.headers) == (1 + 1 + 2, 1 + 1 + 2)


INTROSPECTION = {
    "as tools do it": get_introspection_query(input_value_deprecation=True, specified_by_url=True),
    "all fields and arguments": """{ __schema { types {
        name fields(includeDeprecated: true) { name args(includeDeprecated: true) { name } }
    } } }""",
    "enums, inputs, interfaces and unions": """{ __schema { types {
        enumValues(includeDeprecated: true) { name } inputFields(includeDeprecated: true) { name }
        interfaces { name } possibleTypes { name }
    } } }""",
    "directives": "{ __schema { directives { name args { name type { kind ofType { name } } } } } }",
    "one type": '{ __type(name: "Query") { fields { name args { name type { kind } } } } }',
    "the root types": """{ __schema {
        queryType { fields { name args { name } } } mutationType { fields { name } }
    } }""",
    "the fields of fields' types": """{ __schema { types {
        fields { type { name ofType { name fields { name } } } }
    } } }""",
    "by fragments": """
        { __schema { types { ...t } } }
        fragment t on __Type { fields { ...f } }
        fragment f on __Field { name type { ...n } }
        fragment n on __Type { name kind }
    """,
}


@pytest.mark.parametrize("document", INTROSPECTION.values(), ids=INTROSPECTION.keys())
async def test_an_introspection_costs_at_least_the_size_of_its_answer(http: httpx.AsyncClient, document: str):
    cost, count = await reported_cost(http, document)
    assert cost >= count


async def test_the_cost_of_a_full_introspection_is_close_to_its_size(http: httpx.AsyncClient):
    for name in ("all fields and arguments", "enums, inputs, interfaces and unions"):
        cost, count = await reported_cost(http, INTROSPECTION[name])
        assert cost <= count + 1
    cost, count = await reported_cost(http, INTROSPECTION["as tools do it"])
    assert cost < 4 * count


ONE_OF = """{ __schema { types {
    kind isOneOf fields { type { kind isOneOf } } inputFields { type { kind isOneOf } }
} } }"""


async def test_wrapping_types_are_not_one_of(http: httpx.AsyncClient):
    """https://spec.graphql.org/draft/#sec-The-__Type-Type: `isOneOf` is only defined for input objects."""
    answer = (await http.post("/graphql", json={"query": ONE_OF})).json()
    assert "errors" not in answer
    found = {kind["kind"]: kind["isOneOf"] for kind in answer["data"]["__schema"]["types"]}
    for kind in answer["data"]["__schema"]["types"]:
        for each in (kind["fields"] or []) + (kind["inputFields"] or []):
            found[each["type"]["kind"]] = each["type"]["isOneOf"]
    assert found.pop("INPUT_OBJECT") is False
    assert {"NON_NULL", "OBJECT", "SCALAR"} <= set(found)
    assert set(found.values()) == {None}

"""What fields declare for estimating the cost of an operation: mostly, how long a list can be.

    participants = strawberry.field(..., metadata=at_most(5))
    events = strawberry.field(..., metadata=PAGED)
    inbox_events = strawberry.field(..., metadata=searching(1000))

The fields of introspection carry no such metadata: the lengths of their lists follow from the schema.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    is_abstract_type,
)
from strawberry.types.field import StrawberryField

_MAX_ITEMS = "max_items"
_IS_PAGED = "is_paged"
_SEARCH = "search"
_SCHEMA_LISTS = {"types", "directives"}
# Lists whose items belong to a single type, field or directive. Other fields can reach the same type several
# times.
_OWNED = {"fields", "args", "inputFields", "enumValues"}
# The extension in which Strawberry keeps its own definition of a field.
_DEFINITION = "strawberry-definition"


def at_most(items: int) -> Mapping[str, int]:
    """Return the metadata of a field whose list never has more items."""
    return {_MAX_ITEMS: items}


PAGED: Mapping[str, bool] = {_IS_PAGED: True}
"""The metadata of a field whose list is the page that the arguments of its parent's field select."""


def searching(cost: int) -> Mapping[str, int]:
    """Return the metadata of a field that may search through much, which costs up to that many fields."""
    return {_SEARCH: cost}


def max_items(field: GraphQLField) -> int | None:
    """Return the maximum length of the field's list; None if the field does not declare one."""
    return _metadata(field).get(_MAX_ITEMS)


def is_paged(field: GraphQLField) -> bool:
    """Return whether the arguments of the parent's field determine the length of the field's list."""
    return _metadata(field).get(_IS_PAGED, False)


def search_cost(field: GraphQLField) -> int:
    """Return the maximum cost of a field in addition to its answer."""
    return _metadata(field).get(_SEARCH, 0)


def _metadata(field: GraphQLField) -> Mapping[Any, Any]:
    definition = (field.extensions or {}).get(_DEFINITION)
    return definition.metadata if isinstance(definition, StrawberryField) else {}


class IntrospectionSizes:
    """The lengths of the lists in the answers to introspection of one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        types = list(schema.type_map.values())
        fielded = [each for each in types if isinstance(each, GraphQLObjectType | GraphQLInterfaceType)]
        inputs = [each for each in types if isinstance(each, GraphQLInputObjectType)]
        enums = [each for each in types if isinstance(each, GraphQLEnumType)]
        fields = [field for each in fielded for field in each.fields.values()]
        directives = list(schema.directives)
        self._of_schema = {"types": len(types), "directives": len(directives)}
        lengths = {
            ("__Type", "fields"): [len(each.fields) for each in fielded],
            ("__Type", "interfaces"): [len(each.interfaces) for each in fielded],
            ("__Type", "possibleTypes"): [
                len(schema.get_possible_types(each)) for each in types if is_abstract_type(each)
            ],
            ("__Type", "enumValues"): [len(each.values) for each in enums],
            ("__Type", "inputFields"): [len(each.fields) for each in inputs],
            ("__Field", "args"): [len(field.args) for field in fields],
            ("__Directive", "args"): [len(each.args) for each in directives],
            ("__Directive", "locations"): [len(each.locations) for each in directives],
        }
        of = {"__Type": len(types), "__Field": len(fields), "__Directive": len(directives)}
        self._most = {place: max(found, default=0) for place, found in lengths.items()}
        self._mean = {place: Fraction(sum(found), of[place[0]] or 1) for place, found in lengths.items()}

    def of(self, type_name: str, field_name: str, *, exhaustive: bool) -> Fraction | int | None:
        """Return the length of the field's list: the maximum, or the mean if the answer is `exhaustive`.

        An answer is exhaustive if it has every object of the type once, as a full introspection does. The
        mean then gives the exact total, and the maximum would give many times the size of the schema.
        """
        if type_name == "__Schema":
            return self._of_schema.get(field_name)
        return (self._mean if exhaustive else self._most).get((type_name, field_name))

    @staticmethod
    def is_exhaustive(type_name: str, field_name: str, *, exhaustive: bool) -> bool:
        """Return whether the field yields every object of its type; `exhaustive` says so of its parents."""
        return field_name in (_SCHEMA_LISTS if type_name == "__Schema" else _OWNED if exhaustive else ())

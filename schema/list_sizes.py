"""How many items a list without paging arguments can hold: noted at its field, and read by the cost.

    participants = strawberry.field(..., metadata=at_most(5))

The lists of introspection have no such note; theirs follow from the schema.
"""

from collections.abc import Mapping
from fractions import Fraction

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
_OF_THE_SCHEMA = {"types", "directives"}
# What belongs to one type, field or directive alone; other fields lead to types from wherever they are used.
_OWNED = {"fields", "args", "inputFields", "enumValues"}
# Where Strawberry keeps its own definition of a field.
_DEFINITION = "strawberry-definition"


def at_most(items: int) -> Mapping[str, int]:
    """Return the metadata of a field whose list never holds more items."""
    return {_MAX_ITEMS: items}


def max_items(field: GraphQLField) -> int | None:
    """Return how many items the field's list can hold, if that is noted."""
    definition = (field.extensions or {}).get(_DEFINITION)
    return definition.metadata.get(_MAX_ITEMS) if isinstance(definition, StrawberryField) else None


class IntrospectionSizes:
    """The sizes of the lists of introspection."""

    def __init__(self, schema: GraphQLSchema) -> None:
        """Count what the schema has."""
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

    def of(self, type_name: str, field_name: str, *, of_all: bool) -> Fraction | int | None:
        """Return how many items the field's list holds: at most, or `of_all` of its type on average.

        The average is exact where every type of the schema is asked for, which an introspection does: the
        most for each would be many times the whole schema.
        """
        if type_name == "__Schema":
            return self._of_schema.get(field_name)
        return (self._mean if of_all else self._most).get((type_name, field_name))

    @staticmethod
    def is_of_all(type_name: str, field_name: str, *, of_all: bool) -> bool:
        """Say whether the field, on all objects of its type if `of_all`, leads to all of the schema's."""
        return field_name in (_OF_THE_SCHEMA if type_name == "__Schema" else _OWNED if of_all else ())

"""A readable listing of a plan: how each field is resolved, and the generated source."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator
from inspect import iscoroutinefunction
from typing import Any

from graphql import (
    GraphQLObjectType,
    TypeNameMetaFieldDef,
    default_field_resolver,
    get_named_type,
    is_abstract_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetailsList

from plans.info import SelectedField
from plans.resolvers import attribute_of, strawberry_field_of
from plans.selections import Selections


def list_plan(title: str, root_type: GraphQLObjectType, selections: Selections) -> str:
    """Return Python source whose comments show the selected fields below the title.

    The listing has the source for every possible type of a field, which a plan generates when the type first
    occurs.
    """
    listing = _Listing(selections)
    fields = list(listing.fields(selections.selected_on(root_type), "    "))
    selections.root(root_type)
    lines = "".join(f"{line}\n" for line in [title, *(f"#{line}" for line in fields)])
    return lines + "".join(f"\n\n{source}" for source in dict.fromkeys(selections.sources))


class _Listing:
    def __init__(self, selections: Selections) -> None:
        self._selections = selections

    def fields(self, selected: list[tuple[SelectedField, FieldDetailsList]], indent: str) -> Iterator[str]:
        """Yield a line for each field, followed by the lines of its fields."""
        for field, details in selected:
            start = f"{indent}{_shown(field)}"
            yield f"{start:60}  {_how(field)}"
            kind = get_named_type(field.definition.type)
            if is_object_type(kind):
                yield from self._object(kind, details, indent + "    ")
            elif is_abstract_type(kind):
                for each in field.schema.get_possible_types(kind):
                    yield f"{indent}    if it is of the type {each.name}:"
                    self._selections.plan_object(details, each)
                    yield from self._object(each, details, indent + "        ")

    def _object(self, kind: GraphQLObjectType, details: FieldDetailsList, indent: str) -> Iterator[str]:
        yield from self.fields(self._selections.selected_on(kind, details), indent)


def _shown(field: SelectedField) -> str:
    alias = "" if field.key == field.name else f"{field.key}: "
    return f"{alias}{field.name}: {field.definition.type}"


def _how(field: SelectedField) -> str:
    """Describe how the field is resolved."""
    if field.definition is TypeNameMetaFieldDef:
        return "is constant"
    attribute = attribute_of(field)
    if attribute is not None:
        return f"reads the attribute {attribute}"
    plain = strawberry_field_of(field)
    resolver: Any = field.definition.resolve or default_field_resolver
    if plain is not None and plain.base_resolver is not None:
        resolver = plain.base_resolver.wrapped_func
    verb = "awaits" if iscoroutinefunction(resolver) else "calls"
    return f"{verb} {resolver.__module__}.{resolver.__qualname__}"

"""Calls to the resolvers of selected fields."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeAlias, cast

import strawberry
from graphql import (
    GraphQLAbstractType,
    GraphQLObjectType,
    GraphQLSchema,
    default_field_resolver,
    get_named_type,
    is_union_type,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.types.base import StrawberryObjectDefinition, get_object_definition
from strawberry.types.field import StrawberryField

from plans.arguments import plan_arguments
from plans.info import STRAWBERRY_DEFINITION, PlannedInfo, SelectedField
from plans.inputs import plan_inputs
from plans.run import Place, Run

Resolve: TypeAlias = Callable[[Run, Any, Place], Any]
"""Returns the value of the field on a source, or an awaitable of it; raises what the resolver raises."""


@dataclass(frozen=True, slots=True)
class Call:
    """How a Strawberry resolver is called, apart from the field's arguments.

    `takes_source` is whether the source is its first argument, and `source_names` are the parameters that
    take it by name. `info_name` is the parameter for the `Info`.
    """

    function: Callable[..., Any]
    takes_source: bool
    source_names: tuple[str, ...]
    info_name: str | None

    @property
    def takes_info_second(self) -> bool:
        """Whether the `Info` can be passed after the source instead of by name."""
        code = getattr(self.function, "__code__", None)
        if not isinstance(self.function, FunctionType) or not self.takes_source or code is None:
            return False
        return code.co_argcount > 1 and code.co_varnames[1] == self.info_name


def plan_resolver(selected: SelectedField) -> Resolve:
    """Return the function that resolves the field."""
    resolve = selected.definition.resolve
    name = attribute_of(selected)
    if name is not None:
        return _attribute(name)
    plain = strawberry_field_of(selected)
    if plain is not None and not plain.is_subscription:
        return _method(selected, plain)
    return _any_resolver(selected, resolve or default_field_resolver)


def attribute_of(selected: SelectedField) -> str | None:
    """Return the attribute of the source that the field reads; None if the field has a resolver."""
    plain = strawberry_field_of(selected)
    return None if plain is None or plain.is_subscription or plain.base_resolver else plain.python_name


def direct_call_of(selected: SelectedField) -> Call | None:
    """Return how to call the field's resolver if it takes no arguments of the field; otherwise None."""
    plain = strawberry_field_of(selected)
    if plain is None or plain.is_subscription or not plain.base_resolver or plain.arguments:
        return None
    # An argument that Strawberry does not know, but graphql-core would check.
    return None if selected.definition.args else _call_of(plain)


def plan_subscriber(selected: SelectedField) -> Resolve:
    """Return the function that opens the field's stream of events."""
    plain = strawberry_field_of(selected)
    if plain is not None:
        return _method(selected, plain)
    return _any_resolver(selected, selected.definition.subscribe or default_field_resolver)


def strawberry_field_of(selected: SelectedField) -> StrawberryField | None:
    """Return Strawberry's definition of a field if all that Strawberry does is to call its resolver."""
    field = (selected.definition.extensions or {}).get(STRAWBERRY_DEFINITION)
    config = _config(selected.schema)
    if not isinstance(field, StrawberryField) or config is None:
        return None
    # Strawberry may convert exceptions to members of a union.
    if field.extensions or config.info_class is not strawberry.Info:
        return None
    if is_union_type(get_named_type(selected.definition.type)):
        return None
    if field.base_resolver is None and config.default_resolver is not getattr:
        return None
    # Subclasses may resolve fields differently.
    if type(field).get_result is not StrawberryField.get_result:
        return None
    return field


def class_of(kind: GraphQLObjectType) -> type | None:
    """Return the class whose instances are all of this type; None if Strawberry decides otherwise."""
    definition = (kind.extensions or {}).get(STRAWBERRY_DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of is not None:
        return None
    # A generic class has several types.
    return None if definition.concrete_of is not None else definition.origin


def classes_of(schema: GraphQLSchema, kind: GraphQLAbstractType) -> dict[type, str]:
    """Return the name of the type for each class that Strawberry always resolves to that type.

    An object for which `strawberry.cast` has chosen a type is of that type instead. Unions, and interfaces
    that decide by themselves, have no such classes.
    """
    interface = (kind.extensions or {}).get(STRAWBERRY_DEFINITION)
    if not isinstance(interface, StrawberryObjectDefinition) or interface.resolve_type is not None:
        return {}
    found: dict[type, str] = {}
    for each in schema.get_possible_types(kind):
        implementing = class_of(each)
        if implementing is None or not issubclass(implementing, interface.origin):
            continue
        definition = get_object_definition(implementing, strict=True)
        if definition.name == each.name and not definition.is_graphql_generic:
            found[implementing] = each.name
    return found


def _attribute(name: str) -> Resolve:
    def resolve(_run: Run, source: Any, _place: Place) -> Any:
        return getattr(source, name)

    return resolve


def _method(selected: SelectedField, field: StrawberryField) -> Resolve:
    """Call a Strawberry resolver, creating only the arguments that it takes."""
    call = _call_of(field)
    function, takes_source, takes_info = call.function, call.takes_source, call.info_name is not None
    source_names, info_name = call.source_names, call.info_name or ""
    arguments, _ = plan_arguments(selected.definition, selected.nodes[0])
    strawberry_schema = _strawberry_schema(selected.schema)
    convert = (
        plan_inputs(field, strawberry_schema) if field.arguments and strawberry_schema is not None else None
    )

    def resolve(run: Run, source: Any, place: Place) -> Any:
        info = PlannedInfo(run, selected, place[0])
        named = {} if convert is None else convert(arguments(run.variables), info)
        for name in source_names:
            named[name] = source
        if takes_info:
            named[info_name] = info
        return function(source, **named) if takes_source else function(**named)

    return resolve


def _call_of(field: StrawberryField) -> Call:
    resolver = cast(Any, field.base_resolver)
    return Call(
        function=resolver.wrapped_func,
        takes_source=resolver.self_parameter is not None,
        # One parameter can be both.
        source_names=tuple(
            {each.name: None for each in (resolver.parent_parameter, resolver.root_parameter) if each}
        ),
        info_name=resolver.info_parameter.name if resolver.info_parameter else None,
    )


def _any_resolver(selected: SelectedField, function: Callable[..., Any]) -> Resolve:
    """Call a resolver as graphql-core does."""
    arguments, _ = plan_arguments(selected.definition, selected.nodes[0])

    def resolve(run: Run, source: Any, place: Place) -> Any:
        return function(source, selected.info(run, place), **arguments(run.variables))

    return resolve


def _strawberry_schema(schema: GraphQLSchema) -> strawberry.Schema | None:
    found = getattr(schema, "_strawberry_schema", None)
    return found if isinstance(found, strawberry.Schema) else None


def _config(schema: GraphQLSchema) -> StrawberryConfig | None:
    found = _strawberry_schema(schema)
    return None if found is None else found.config

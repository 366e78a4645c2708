"""Calls to the resolvers of selected fields."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import strawberry
from graphql import GraphQLObjectType, GraphQLSchema, default_field_resolver, get_named_type, is_union_type
from strawberry.schema.config import StrawberryConfig
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from plans.arguments import plan_arguments
from plans.info import PlannedInfo, SelectedField
from plans.inputs import plan_inputs
from plans.run import Place, Run

Resolve: TypeAlias = Callable[[Run, Any, Place], Any]
"""Returns the value of the field on a source, or an awaitable of it; raises what the resolver raises."""

# The extension in which Strawberry keeps its own definition of a field or type.
_DEFINITION = "strawberry-definition"


def plan_resolver(selected: SelectedField) -> Resolve:
    """Return the function that resolves the field."""
    resolve = selected.definition.resolve
    name = attribute_of(selected)
    if name is not None:
        return _attribute(name)
    plain = _plain_strawberry_field(selected)
    if plain is not None and not plain.is_subscription:
        return _method(selected, plain)
    return _any_resolver(selected, resolve or default_field_resolver)


def attribute_of(selected: SelectedField) -> str | None:
    """Return the attribute of the source that the field reads; None if the field has a resolver."""
    plain = _plain_strawberry_field(selected)
    return None if plain is None or plain.is_subscription or plain.base_resolver else plain.python_name


def plan_subscriber(selected: SelectedField) -> Resolve:
    """Return the function that opens the field's stream of events."""
    plain = _plain_strawberry_field(selected)
    if plain is not None:
        return _method(selected, plain)
    return _any_resolver(selected, selected.definition.subscribe or default_field_resolver)


def _plain_strawberry_field(selected: SelectedField) -> StrawberryField | None:
    """Return Strawberry's definition of a field if all that Strawberry does is to call its resolver."""
    field = (selected.definition.extensions or {}).get(_DEFINITION)
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
    definition = (kind.extensions or {}).get(_DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of is not None:
        return None
    # A generic class has several types.
    return None if definition.concrete_of is not None else definition.origin


def _attribute(name: str) -> Resolve:
    def resolve(_run: Run, source: Any, _place: Place) -> Any:
        return getattr(source, name)

    return resolve


def _method(selected: SelectedField, field: StrawberryField) -> Resolve:
    """Call a Strawberry resolver, creating only the arguments that it takes."""
    resolver = cast(Any, field.base_resolver)
    function: Callable[..., Any] = resolver.wrapped_func
    takes_self = resolver.self_parameter is not None
    source_names = [each.name for each in (resolver.parent_parameter, resolver.root_parameter) if each]
    info_name: str | None = resolver.info_parameter.name if resolver.info_parameter else None
    arguments, _ = plan_arguments(selected.definition, selected.nodes[0])
    strawberry_schema = _strawberry_schema(selected.schema)
    convert = (
        plan_inputs(field, strawberry_schema) if field.arguments and strawberry_schema is not None else None
    )

    if convert is None and takes_self and not source_names and info_name == "info":

        def resolve_with_info(run: Run, source: Any, place: Place) -> Any:
            return function(source, info=PlannedInfo(run, selected, field, place))

        return resolve_with_info

    def resolve(run: Run, source: Any, place: Place) -> Any:
        info = PlannedInfo(run, selected, field, place)
        named = {} if convert is None else convert(arguments(run.variables), info)
        for name in source_names:
            named[name] = source
        if info_name is not None:
            named[info_name] = info
        return function(source, **named) if takes_self else function(**named)

    return resolve


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

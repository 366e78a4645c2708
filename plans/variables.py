"""Coercion of an operation's variables."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from graphql import (
    GraphQLError,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    get_nullable_type,
    is_input_object_type,
    is_leaf_type,
    is_non_null_type,
    is_required_input_field,
)
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_value

from plans.leaves import unchanged_class
from plans.unplannable import Unplannable

_MAX_ERRORS = 50

_Coerce: TypeAlias = "Callable[[Any], Any]"


class Variables:
    """An operation's variables, whose types are looked up once.

    https://spec.graphql.org/draft/#sec-Coercing-Variable-Values
    """

    def __init__(
        self, schema: GraphQLSchema, operation: OperationDefinitionNode, *, hide_suggestions: bool = False
    ) -> None:
        """Look up the types.

        Raises:
            Unplannable: a type is unknown.
        """
        self._schema = schema
        self._hide_suggestions = hide_suggestions
        self._nodes = operation.variable_definitions or ()
        self._signatures = []
        self._coerce: list[_Coerce] = []
        for node in self._nodes:
            signature = get_variable_signature(schema, node)
            if isinstance(signature, GraphQLError):
                raise Unplannable(signature.message)
            self._signatures.append(signature)
            self._coerce.append(_plan(signature.type))

    def values(self, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """Return the coerced values by name, or the errors in them."""
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature, coerce in zip(self._signatures, self._coerce, strict=True):
            value = given.get(signature.name, Undefined)
            result = Undefined if value is Undefined else coerce(value)
            if result is Undefined:
                # Omitted, invalid or nested too deeply: graphql-core produces the value or the error.
                return get_variable_values(
                    self._schema,
                    self._nodes,
                    dict(given),
                    max_errors=_MAX_ERRORS,
                    hide_suggestions=self._hide_suggestions,
                )
            sources[signature.name] = VariableValueSource(signature, value)
            coerced[signature.name] = result
        return VariableValues(sources, coerced)


def _plan(kind: Any) -> _Coerce:
    """Return the function that coerces a value; it returns Undefined to defer to graphql-core."""
    if is_non_null_type(kind):
        coerce = _plan(kind.of_type)
        return lambda value: Undefined if value is None else coerce(value)
    unchanged = unchanged_class(kind)
    if unchanged is not None:
        return lambda value: (
            value if value is None or type(value) is unchanged else coerce_input_value(value, kind)
        )
    if is_input_object_type(kind) and not kind.is_one_of and not any(map(_is_nested, kind.fields.values())):
        return _plan_object(kind)

    def coerce_any(value: Any) -> Any:
        if isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                if isinstance(each, dict | list):
                    return Undefined
        return coerce_input_value(value, kind)

    return coerce_any


def _plan_object(kind: GraphQLInputObjectType) -> _Coerce:
    planned = [
        (
            name,
            field.out_name or name,
            _plan(field.type),
            is_required_input_field(field),
            coerce_default_value(field),
        )
        for name, field in kind.fields.items()
    ]
    names = kind.fields.keys()

    def coerce_object(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict) or not value.keys() <= names:
            return Undefined
        coerced: dict[str, Any] = {}
        for name, out_name, coerce, required, default in planned:
            if name in value:
                coerced[out_name] = field = coerce(value[name])
                if field is Undefined:
                    return Undefined
            elif required:
                return Undefined
            elif default is not Undefined:
                coerced[out_name] = default
        return kind.out_type(coerced)

    return coerce_object


def _is_nested(field: GraphQLInputField) -> bool:
    return not is_leaf_type(get_nullable_type(field.type))

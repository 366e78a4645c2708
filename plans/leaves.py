"""Completion of scalars and enum values: https://spec.graphql.org/draft/#sec-Value-Completion."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from collections.abc import Callable
from typing import Any, TypeAlias

from graphql import (
    GraphQLInputType,
    GraphQLLeafType,
    GraphQLOutputType,
    Undefined,
    get_nullable_type,
    is_leaf_type,
    specified_scalar_types,
)
from graphql.pyutils import inspect

from plans.run import MAX_UNCOUNTED_CHARS, Complete, Place, Run

CheckCoerced: TypeAlias = Callable[[Run, Any, Any], None]
"""Checks what a value was coerced to, and counts it in the size of the response if it is a long string."""

# The classes whose instances the built-in scalars return unchanged.
_UNCHANGED: dict[str, type] = {"String": str, "ID": str, "Boolean": bool}


def specified_name(kind: object) -> str | None:
    """Return the name of one of GraphQL's own scalars; None for other types, even of the same name."""
    if not is_leaf_type(kind):
        return None
    return kind.name if specified_scalar_types.get(kind.name) is kind else None


def unchanged_class(kind: GraphQLInputType | GraphQLOutputType) -> type | None:
    """Return the class whose instances the scalar returns unchanged; None for other types."""
    name = specified_name(get_nullable_type(kind))
    return None if name is None else _UNCHANGED.get(name)


def complete_leaf(kind: GraphQLLeafType) -> Complete:
    """Return the function that completes a value of this type."""
    unchanged, coerce, check = unchanged_class(kind), kind.coerce_output_value, check_coerced(kind)

    def complete(run: Run, value: Any, _place: Place) -> Any:
        if type(value) is unchanged:
            if unchanged is str and len(value) > MAX_UNCOUNTED_CHARS:
                run.count_text(value)
            return value
        if value is None or value is Undefined:
            return None
        if isinstance(value, Exception):
            raise value
        coerced = coerce(value)
        check(run, value, coerced)
        return coerced

    return complete


def check_coerced(kind: GraphQLLeafType) -> CheckCoerced:
    """Return the function that checks the results of the type's own coercion."""

    def check(run: Run, value: Any, coerced: Any) -> None:
        if coerced is None or coerced is Undefined:
            raise TypeError(
                f"Expected `{inspect(kind)}.coerce_output_value({inspect(value)})` to return non-nullable"
                f" value, returned: {inspect(coerced)}"
            )
        if isinstance(coerced, str) and len(coerced) > MAX_UNCOUNTED_CHARS:
            run.count_text(coerced)

    return check

"""The arguments of a selected field."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable
from typing import Any, TypeAlias

from graphql import (
    BREAK,
    FieldNode,
    GraphQLError,
    GraphQLField,
    Undefined,
    ValueNode,
    VariableNode,
    Visitor,
    is_non_null_type,
    visit,
)
from graphql.execution.values import VariableValues, get_argument_values
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal

from plans.unplannable import Unplannable

Arguments: TypeAlias = Callable[[VariableValues], dict[str, Any]]
"""Returns a field's arguments by name for given values of the variables.

https://spec.graphql.org/draft/#sec-Coercing-Field-Arguments
"""

_NO_VARIABLES = VariableValues({}, {})


def plan_arguments(definition: GraphQLField, node: FieldNode) -> tuple[Arguments, bool]:
    """Return the arguments of a selection of the field, and whether they are constant."""
    if not definition.args and not node.arguments:
        return lambda _variables: {}, True
    if not _has_variables(node):
        try:
            constant = get_argument_values(definition, node, _NO_VARIABLES)
        except GraphQLError as error:
            raise Unplannable(error.message) from error
        return lambda _variables: dict(constant), True

    def by_reference(variables: VariableValues) -> dict[str, Any]:
        return get_argument_values(definition, node, variables)

    parts = _parts(definition, node)
    if parts is None:
        return by_reference, False
    constant, named = parts

    def by_name(variables: VariableValues) -> dict[str, Any]:
        given = variables.coerced
        arguments = constant.copy()
        for out_name, variable, may_be_null in named:
            value = given.get(variable)
            if value is None and not (may_be_null and variable in given):
                # The variable is omitted, so that a default applies, or it is an invalid null.
                return by_reference(variables)
            arguments[out_name] = value
        return arguments

    return by_name, False


def _parts(
    definition: GraphQLField, node: FieldNode
) -> tuple[dict[str, Any], list[tuple[str, str, bool]]] | None:
    """Return the constant arguments, and a triple for each argument that is a variable.

    The triple has the argument's Python name, the variable's name, and whether the argument is nullable. None
    if a variable is nested in a list or object.
    """
    values = {argument.name.value: argument.value for argument in node.arguments or ()}
    constant: dict[str, Any] = {}
    named: list[tuple[str, str, bool]] = []
    for name, argument in definition.args.items():
        out_name, value = argument.out_name or name, values.get(name)
        if isinstance(value, VariableNode):
            named.append((out_name, value.name.value, not is_non_null_type(argument.type)))
            continue
        if value is not None and _has_variables(value):
            return None
        fixed = (
            coerce_default_value(argument) if value is None else coerce_input_literal(value, argument.type)
        )
        if fixed is not Undefined:
            constant[out_name] = fixed
        elif value is not None:
            raise Unplannable(f"the argument {name} is invalid")
    return constant, named


def _has_variables(node: FieldNode | ValueNode) -> bool:
    finder = _VariableFinder()
    visit(node, finder)
    return finder.found


class _VariableFinder(Visitor):
    found = False

    def enter_variable(self, _node: VariableNode, *_: Any) -> Any:
        self.found = True
        return BREAK

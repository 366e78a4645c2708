"""The values of an operation's variables."""

# graphql-core leaves open what its lists and non-null types are of.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, Undefined
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values
from graphql.utilities import coerce_input_value

from plans.unplannable import Unplannable

_MAX_ERRORS = 50


class Variables:
    """An operation's variables, of which the types are looked up once.

    https://spec.graphql.org/draft/#sec-Coercing-Variable-Values
    """

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> None:
        """Look them up.

        Raises:
            Unplannable: a type is not known.
        """
        self._schema = schema
        self._nodes = operation.variable_definitions or ()
        self._signatures = []
        for node in self._nodes:
            signature = get_variable_signature(schema, node)
            if isinstance(signature, GraphQLError):
                raise Unplannable(signature.message)
            self._signatures.append(signature)

    def values(self, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """Return the values by name, or what is wrong with them."""
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature in self._signatures:
            value = given.get(signature.name, Undefined)
            result = Undefined if value is Undefined else _coerced(value, signature.type)
            if result is Undefined:
                # Left out, wrong, or nested too deeply: the reference knows what to say.
                return get_variable_values(self._schema, self._nodes, dict(given), max_errors=_MAX_ERRORS)
            sources[signature.name] = VariableValueSource(signature, value)
            coerced[signature.name] = result
        return VariableValues(sources, coerced)


def _coerced(value: Any, kind: Any) -> Any:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, dict | list):
                return Undefined
    return coerce_input_value(value, kind)

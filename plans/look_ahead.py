"""The fields that an operation selects below a field, for eager loading."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast, get_args, get_origin

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    is_abstract_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_subfields
from graphql.execution.values import VariableValues
from strawberry.types.field import StrawberryField

from plans.arguments import Arguments, plan_arguments
from plans.unplannable import Unplannable

_T = TypeVar("_T")
_MOST_FIELDS = 500
_DEFINITION = "strawberry-definition"


@dataclass(frozen=True, slots=True)
class _Operation:
    schema: GraphQLSchema
    definition: OperationDefinitionNode
    fragments: Mapping[str, FragmentDetails]
    variables: VariableValues
    """The variables that `@skip` and `@include` use."""


class LookAhead:
    """The fields selected below a field, by their names in the schema, whatever their aliases.

    It contains the fields of all possible types of the value. It depends on no other variables than those
    that `@skip` and `@include` use.
    """

    def __init__(self, operation: _Operation, kind: GraphQLOutputType, nodes: Sequence[FieldNode]) -> None:
        self.is_too_large = False
        """Whether the operation has so many fields that looking at them would block the event loop."""
        self._operation = operation
        self._kind = get_named_type(kind)
        self._nodes = nodes
        self._derived: dict[Callable[[LookAhead], Any], Any] = {}

    @classmethod
    def of(
        cls,
        kind: GraphQLOutputType,
        nodes: Sequence[FieldNode],
        *,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: VariableValues,
    ) -> "LookAhead":
        """Look ahead from a field of this type, which these nodes select."""
        details = {name: FragmentDetails(each) for name, each in fragments.items()}
        ahead = cls(_Operation(schema, operation, details, variables), kind, nodes)
        ahead.is_too_large = _count(operation.selection_set, fragments, {}) > _MOST_FIELDS
        return ahead

    def __contains__(self, name: str) -> bool:
        """Return whether a field with this name is selected."""
        return name in self.fields

    @cached_property
    def fields(self) -> Mapping[str, "SelectedBelow"]:
        """The selected fields, by name."""
        by_name: dict[str, list[tuple[GraphQLField, Sequence[FieldNode]]]] = {}
        for kind in self._object_types():
            collected = collect_subfields(
                self._operation.schema,
                cast(dict[str, FragmentDetails], self._operation.fragments),
                self._operation.variables,
                self._operation.definition,
                kind,
                [FieldDetails(node, None) for node in self._nodes],
            )
            for details in collected.grouped_field_set.values():
                nodes = [each.node for each in details]
                name = nodes[0].name.value
                definition = self._operation.schema.get_field(kind, name)
                if definition is not None and not name.startswith("__"):
                    by_name.setdefault(name, []).append((definition, nodes))
        return {name: self._field(found) for name, found in by_name.items()}

    def below(self, *path: str) -> "LookAhead | None":
        """Return what is selected below the field at the end of the path; None if it is not selected."""
        found: LookAhead | None = self
        for name in path:
            field = None if found is None else found.fields.get(name)
            found = None if field is None else field.below
        return found

    def derive(self, derived: Callable[["LookAhead"], _T], otherwise: _T) -> _T:
        """Return the cached result of the function for this; `otherwise` if this is too large."""
        if self.is_too_large:
            return otherwise
        if derived not in self._derived:
            self._derived[derived] = derived(self)
        return self._derived[derived]

    def _object_types(self) -> Sequence[GraphQLObjectType]:
        if is_object_type(self._kind):
            return [self._kind]
        if is_abstract_type(self._kind):
            return self._operation.schema.get_possible_types(self._kind)
        return []

    def _field(self, found: Sequence[tuple[GraphQLField, Sequence[FieldNode]]]) -> "SelectedBelow":
        definition, nodes = found[0]
        # The same nodes select it on several types.
        is_one = all(others[0] is nodes[0] for _, others in found)
        every_node = {id(node): node for _, nodes in found for node in nodes}
        return SelectedBelow(
            LookAhead(self._operation, definition.type, list(every_node.values())),
            may_wait=any(_may_wait(definition) for definition, _ in found),
            arguments=_arguments(definition, nodes[0]) if is_one else None,
        )


@dataclass(frozen=True, slots=True)
class SelectedBelow:
    """A selected field."""

    below: LookAhead
    """The fields selected below it; if it is selected several times, those of all selections."""
    may_wait: bool
    """Whether its resolver may return an awaitable."""
    arguments: Arguments | None
    """Its arguments; None if it is selected several times, or its arguments are invalid."""


def _count(
    selected: SelectionSetNode | None,
    fragments: Mapping[str, FragmentDefinitionNode],
    known: dict[str, int],
) -> int:
    """Return the number of selected fields. `known` caches those of fragments."""
    count = 0
    for each in selected.selections if selected else ():
        if isinstance(each, FragmentSpreadNode):
            name = each.name.value
            if name not in known:
                known[name] = _count(fragments[name].selection_set, fragments, known)
            count += known[name]
        elif isinstance(each, FieldNode | InlineFragmentNode):
            count += isinstance(each, FieldNode) + _count(each.selection_set, fragments, known)
    return count


def _arguments(definition: GraphQLField, node: FieldNode) -> Arguments | None:
    try:
        return plan_arguments(definition, node)[0]
    except Unplannable:
        return None


def _may_wait(definition: GraphQLField) -> bool:
    field = (definition.extensions or {}).get(_DEFINITION)
    if not isinstance(field, StrawberryField):
        return definition.resolve is not None
    resolver = field.base_resolver
    if resolver is None:
        return False
    returned = resolver.signature.return_annotation
    return resolver.is_async or any(get_origin(each) is Awaitable for each in get_args(returned))

"""The `info` arguments of resolvers."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

import strawberry
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
)
from graphql.execution.values import VariableValues
from graphql.pyutils import Path, gather_with_cancel, is_awaitable
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.types.field import StrawberryField

from plans.look_ahead import LookAhead
from plans.run import Place, Run

STRAWBERRY_DEFINITION = "strawberry-definition"
"""The extension in which Strawberry keeps its own definition of a field or type."""


@dataclass(frozen=True, slots=True)
class SelectedField:
    """A field of a type as an operation selects it."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
    parent: GraphQLObjectType
    definition: GraphQLField
    nodes: list[FieldNode]
    _ahead: list[LookAhead] = field(default_factory=list[LookAhead], init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The field's name in the schema."""
        return self.nodes[0].name.value

    @property
    def key(self) -> str:
        """The field's name in the response."""
        node = self.nodes[0]
        return node.alias.value if node.alias else node.name.value

    def look_ahead(self, variables: VariableValues) -> LookAhead:
        """Return what is selected below the field, which is the same for all variables of its plan."""
        if not self._ahead:
            self._ahead.append(
                LookAhead.of(
                    self.definition.type,
                    self.nodes,
                    schema=self.schema,
                    operation=self.operation,
                    fragments=self.fragments,
                    variables=variables,
                )
            )
        return self._ahead[0]

    def info(self, run: Run, place: Place) -> GraphQLResolveInfo[Any]:
        """Return graphql-core's info for this place; for an item of a list, that of the list."""
        while isinstance(place[1], int) and place[0] is not None:
            place = place[0]
        return self.info_below(run, place[0])

    def info_below(self, run: Run, parent: "Place | None") -> GraphQLResolveInfo[Any]:
        """Return graphql-core's info for the field of the object at this place; None for a root field."""
        return GraphQLResolveInfo(
            self.name,
            self.nodes,
            self.definition.type,
            self.parent,
            Path(_prefix(parent), self.key, self.parent.name),
            self.schema,
            self.fragments,
            run.root_value,
            self.operation,
            run.variables,
            run.context,
            is_awaitable,
            None,
            GraphQLResolveInfoHelpers(_gather, _forget),
        )


def _prefix(place: "Place | None") -> Path | None:
    return None if place is None else Path(_prefix(place[0]), place[1], None)


def _gather(values: Sequence[Awaitable[Any]]) -> Awaitable[list[Any]]:
    return gather_with_cancel(*values)


def _forget(_values: Sequence[Any]) -> None:
    """Do nothing: only graphql-core's own code for abstract types uses this."""


class PlannedInfo(strawberry.Info[Any, Any]):
    """Strawberry's `Info`, with the rarely used parts created on demand."""

    # Nearly all resolvers read the context, and an attribute is faster than a property.
    __slots__ = ("_parent", "_run", "_selected", "context")

    def __init__(self, run: Run, selected: SelectedField, parent: "Place | None") -> None:
        """Describe the field of the object at `parent`; None for a root field."""
        # The constructor of the base class would need all parts now.
        self._run = run
        self._selected = selected
        self._parent = parent
        self.context = run.context  # pyright: ignore[reportAttributeAccessIssue]  # a property of the base class

    @property
    def _raw_info(self) -> GraphQLResolveInfo[Any]:  # pyright: ignore[reportIncompatibleVariableOverride]  # made on demand
        return self._selected.info_below(self._run, self._parent)

    @property
    def _field(self) -> StrawberryField:  # pyright: ignore[reportIncompatibleVariableOverride]  # made on demand
        return (self._selected.definition.extensions or {})[STRAWBERRY_DEFINITION]

    @property
    def root_value(self) -> Any:
        """The source of the root fields."""
        return self._run.root_value

    @property
    def ahead(self) -> LookAhead:
        """What is selected below the field."""
        return self._selected.look_ahead(self._run.variables)

    @property
    def variables(self) -> VariableValues:
        """The variables of the execution."""
        return self._run.variables


def look_ahead(info: strawberry.Info[Any, Any]) -> LookAhead:
    """Return what is selected below the field that is resolved, with or without a plan."""
    if isinstance(info, PlannedInfo):
        return info.ahead
    raw = info._raw_info  # pyright: ignore[reportPrivateUsage]  # Strawberry's own look-ahead has no types
    return LookAhead.of(
        raw.return_type,
        raw.field_nodes,
        schema=raw.schema,
        operation=raw.operation,
        fragments=raw.fragments,
        variables=variables_of(info),
    )


def variables_of(info: strawberry.Info[Any, Any]) -> VariableValues:
    """Return the variables of the execution, for the arguments of fields found by looking ahead."""
    return info.variables if isinstance(info, PlannedInfo) else VariableValues({}, info.variable_values)

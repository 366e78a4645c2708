"""What a resolver can ask about the field that it resolves."""

# graphql-core leaves open what its lists and non-null types are of.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
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
from graphql.pyutils import Path, gather_with_cancel, is_awaitable
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.types.field import StrawberryField

from plans.run import Place, Run


@dataclass(frozen=True, slots=True)
class SelectedField:
    """A field as it is selected in an operation on a type."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
    parent: GraphQLObjectType
    definition: GraphQLField
    nodes: list[FieldNode]

    @property
    def name(self) -> str:
        """The field's name in the schema."""
        return self.nodes[0].name.value

    @property
    def key(self) -> str:
        """The field's name in the response."""
        node = self.nodes[0]
        return node.alias.value if node.alias else node.name.value

    def info(self, run: Run, place: Place) -> GraphQLResolveInfo[Any]:
        """Return what graphql-core hands to a resolver for that place, or for the list that it is in."""
        return GraphQLResolveInfo(
            self.name,
            self.nodes,
            self.definition.type,
            self.parent,
            _path(place, self.parent.name),
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


def _path(place: Place, type_name: str) -> Path:
    while isinstance(place[1], int) and place[0] is not None:
        place = place[0]
    return Path(_prefix(place[0]), place[1], type_name)


def _prefix(place: "Place | None") -> Path | None:
    return None if place is None else Path(_prefix(place[0]), place[1], None)


def _gather(values: Sequence[Awaitable[Any]]) -> Awaitable[list[Any]]:
    return gather_with_cancel(*values)


def _forget(_values: Sequence[Any]) -> None:
    """Do nothing: only graphql-core's own code for abstract types tracks what it leaves behind."""


class PlannedInfo(strawberry.Info[Any, Any]):
    """Strawberry's `Info`, which looks up what it is not often asked for only when it is."""

    def __init__(self, run: Run, selected: SelectedField, field: StrawberryField, place: Place) -> None:
        # The base class's own would want the rest now.
        self._run = run
        self._selected = selected
        self._field = field
        self._place = place

    @property
    def _raw_info(self) -> GraphQLResolveInfo[Any]:  # pyright: ignore[reportIncompatibleVariableOverride]  # made late
        return self._selected.info(self._run, self._place)

    @property
    def context(self) -> Any:
        """The context that the operation is executed with."""
        return self._run.context

    @property
    def root_value(self) -> Any:
        """The value that the root fields are resolved on."""
        return self._run.root_value

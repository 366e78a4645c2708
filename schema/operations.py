"""Operations of documents, with everything about them that need be found out only once."""

from collections import Counter
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    visit,
)

from plans import BoundOperation, OperationPlan, Unplannable, plan_operation
from schema.cost import Cost

# Larger ones are executed without a plan, whose size would be out of proportion to how often it is used.
_MAX_PLANNED_FIELDS = 1000
_REMEMBERED_COSTS = 64


class PreparedOperation:
    """An operation of a document; ready to be executed if the document is valid."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode, *, fields: int
    ) -> None:
        """Prepare it; `fields` is how many it has, its fragments spread out."""
        self.node = node
        self.is_subscription = node.operation is OperationType.SUBSCRIPTION
        """Whether only a stream can answer it."""
        self.is_mutation = node.operation is OperationType.MUTATION
        """Whether no GET request may execute it."""
        self.root_fields = frozenset(
            selection.name.value
            for selection in node.selection_set.selections
            if isinstance(selection, FieldNode)
        )
        """The names of the root fields that are selected outside of fragments."""
        self._schema = schema
        self._document = document
        self._plan: OperationPlan | None = None
        self._is_planned = fields > _MAX_PLANNED_FIELDS
        self._cost = Cost(schema, document, node)
        self._cost_of_sizes = lru_cache(_REMEMBERED_COSTS)(self._cost.with_sizes)

    @property
    def field_names(self) -> Mapping[str, int]:
        """The names of all fields that its document selects, each with how often it is written down."""
        return self._names.fields

    # Looked up for operations that are executed, of which a document with hundreds has few.
    @cached_property
    def _names(self) -> "_Names":
        names = _Names()
        visit(self._document, names)
        return names

    @cached_property
    def _place(self) -> str | None:
        """The variable that is the argument `after` of a root field, if it is used for nothing else."""
        found = [
            given.value.name.value
            for field in self.node.selection_set.selections
            if isinstance(field, FieldNode)
            for given in field.arguments or ()
            if given.name.value == "after" and isinstance(given.value, VariableNode)
        ]
        # Its definition is one of its uses.
        return found[0] if len(found) == 1 and self._names.variables[found[0]] == 2 else None

    def cost(self, variables: Mapping[str, Any]) -> int:
        """Return what the operation may cost with these variables."""
        return self._cost_of_sizes(self._cost.sizes(variables))

    def without_place(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables without the one that only says where a subscription starts."""
        return {name: value for name, value in variables.items() if name != self._place}

    def bind(self, variables: Mapping[str, Any]) -> BoundOperation | list[GraphQLError] | None:
        """Return the operation with these variables, or what is wrong with them.

        None where graphql-core has to execute it.
        """
        try:
            if not self._is_planned:
                self._is_planned = True
                self._plan = plan_operation(self._schema, self._document, self.node)
            return None if self._plan is None else self._plan.bind(variables)
        except Unplannable:
            return None


class _Names(Visitor):
    """How often each field and variable is written down."""

    def __init__(self) -> None:
        super().__init__()
        self.fields = Counter[str]()
        self.variables = Counter[str]()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.fields[node.name.value] += 1

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.variables[node.name.value] += 1

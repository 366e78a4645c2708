"""Operations of documents, with everything about them that need be found out only once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from time import thread_time
from typing import Any

from cachetools import LRUCache
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
from graphql.execution.values import get_variable_values

from execution.budgets import UNLIMITED, WORK_PER_SECOND, Budget
from execution.cost import Cost, Sizes
from plans import BoundOperation, OperationPlan, Unplannable, plan_operation
from resolvers.selection import Selection
from schema.list_sizes import IntrospectionSizes

_REMEMBERED_COSTS = 64
_MAX_VARIABLE_ERRORS = 50


@dataclass(frozen=True, slots=True)
class Preparation:
    """What operations are prepared with.

    Without `plans` graphql-core executes them. With `hides_schema`, errors suggest no names.
    """

    schema: GraphQLSchema
    introspection: IntrospectionSizes
    plans: bool = True
    hides_schema: bool = False


class PreparedOperation:
    """An operation of a document; ready to be executed if the document is valid."""

    def __init__(
        self, preparation: Preparation, document: DocumentNode, node: OperationDefinitionNode
    ) -> None:
        """Prepare it."""
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
        self._preparation = preparation
        self._document = document
        self._plan: OperationPlan | None = None
        self._is_planned = not preparation.plans
        self._cost = Cost(preparation.schema, preparation.introspection, document, node)
        self._costs = LRUCache[Sizes, int](_REMEMBERED_COSTS)

    # Both are looked up for operations that are executed, of which a document with hundreds has few.
    @cached_property
    def selection(self) -> Selection:
        """The fields of its document."""
        return Selection(self._names.fields)

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

    def cost(self, variables: Mapping[str, Any], budget: Budget = UNLIMITED) -> int:
        """Return what the operation may cost with these variables.

        A cost that is not known for these sizes takes time to find out, which is drawn from the budget.

        Raises:
            RateLimited: the cost is not known, and the budget is used up.
        """
        sizes = self._cost.sizes(variables)
        found = self._costs.get(sizes)
        if found is None:
            budget.check()
            started = thread_time()
            found = self._costs[sizes] = self._cost.with_sizes(sizes)
            budget.charge((thread_time() - started) * WORK_PER_SECOND)
        return found

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
                self._plan = plan_operation(
                    self._preparation.schema,
                    self._document,
                    self.node,
                    hide_suggestions=self._preparation.hides_schema,
                )
            return self._unplanned(variables) if self._plan is None else self._plan.bind(variables)
        except Unplannable:
            return self._unplanned(variables)

    def _unplanned(self, variables: Mapping[str, Any]) -> list[GraphQLError] | None:
        """Return what is wrong with the variables where graphql-core would say more than we tell."""
        if not self._preparation.hides_schema:
            return None
        values = get_variable_values(
            self._preparation.schema,
            self.node.variable_definitions or (),
            dict(variables),
            max_errors=_MAX_VARIABLE_ERRORS,
            hide_suggestions=True,
        )
        return values if isinstance(values, list) else None


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

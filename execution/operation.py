"""Operations of documents, with everything that can be computed once and reused for every request."""

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
from schema.list_sizes import IntrospectionSizes

_CACHED_COSTS = 64
_MAX_VARIABLE_ERRORS = 50


@dataclass(frozen=True, slots=True)
class Preparation:
    """The schema and options for preparing operations.

    Without `plans`, graphql-core executes the operations. With `hides_schema`, errors do not suggest names
    from the schema.
    """

    schema: GraphQLSchema
    introspection: IntrospectionSizes
    plans: bool = True
    hides_schema: bool = False


class NotPlanned(Exception):
    """The operation cannot be planned. The message says why."""


class PreparedOperation:
    """An operation of a document. It can be executed if the document is valid."""

    def __init__(
        self, preparation: Preparation, document: DocumentNode, node: OperationDefinitionNode
    ) -> None:
        self.node = node
        self.is_subscription = node.operation is OperationType.SUBSCRIPTION
        """Whether the operation has to be answered with a stream."""
        self.is_mutation = node.operation is OperationType.MUTATION
        """Whether GET requests must not execute the operation."""
        self.root_fields = frozenset(
            selection.name.value
            for selection in node.selection_set.selections
            if isinstance(selection, FieldNode)
        )
        """The names of the root fields selected outside fragments."""
        selected = node.selection_set.selections
        self.has_one_root_field = len(selected) == 1 and isinstance(selected[0], FieldNode)
        """Whether the operation selects a single root field."""
        self._preparation = preparation
        self._document = document
        self._plan: OperationPlan | None = None
        self._is_planned = not preparation.plans
        self._cost = Cost(preparation.schema, preparation.introspection, document, node)
        self._costs = LRUCache[Sizes, int](_CACHED_COSTS)

    # Computed on first use: of a document with hundreds of operations, few are executed.
    @cached_property
    def _after_variable(self) -> str | None:
        """The variable passed as `after` to a root field; None if there is none or it has other uses."""
        found = [
            given.value.name.value
            for field in self.node.selection_set.selections
            if isinstance(field, FieldNode)
            for given in field.arguments or ()
            if given.name.value == "after" and isinstance(given.value, VariableNode)
        ]
        variables = _Variables()
        visit(self._document, variables)
        # The definition of a variable counts as an occurrence, so a variable used once has two.
        return found[0] if len(found) == 1 and variables.counts[found[0]] == 2 else None

    def cost(self, variables: Mapping[str, Any], budget: Budget = UNLIMITED) -> int:
        """Return the maximum cost of the operation with these variables.

        Computing a cost that is not cached is charged to the budget.

        Raises:
            RateLimited: the cost is not cached, and the budget is exhausted.
        """
        sizes = self._cost.sizes(variables)
        try:
            found = self._costs[sizes]
        except KeyError:
            budget.check()
            started = thread_time()
            found = self._costs[sizes] = self._cost.with_sizes(sizes)
            budget.charge((thread_time() - started) * WORK_PER_SECOND)
        return found

    def declared(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables that the operation declares. A stream keeps no others in memory."""
        return {name: variables[name] for name in self._cost.variables if name in variables}

    def without_after(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables without the one that only sets the start of a subscription."""
        return {name: value for name, value in variables.items() if name != self._after_variable}

    def is_planned(self, variables: Mapping[str, Any]) -> bool:
        """Return whether `bind` has a plan for these variables, or knows that there is none."""
        return self._is_planned and (self._plan is None or self._plan.has_shape(variables))

    def bind(self, variables: Mapping[str, Any]) -> BoundOperation | list[GraphQLError] | None:
        """Return the operation with these variables, or their errors.

        None if there is no plan for it, so that graphql-core has to execute it.
        """
        try:
            if not self._is_planned:
                self._plan = self._planned()
                self._is_planned = True
            return self._unplanned(variables) if self._plan is None else self._plan.bind(variables)
        except Unplannable:
            return self._unplanned(variables)

    def plan_listing(self) -> str:
        """Return the source that is generated for the operation, and how each field is resolved.

        Raises:
            NotPlanned: the operation cannot be planned.
        """
        try:
            return self._new_plan().listing()
        except Unplannable as error:
            raise NotPlanned(
                f"plans do not support {error}, so graphql-core executes the operation"
            ) from error

    def _planned(self) -> OperationPlan | None:
        try:
            return self._new_plan()
        except Unplannable:
            return None

    def _new_plan(self) -> OperationPlan:
        return plan_operation(
            self._preparation.schema,
            self._document,
            self.node,
            hide_suggestions=self._preparation.hides_schema,
        )

    def _unplanned(self, variables: Mapping[str, Any]) -> list[GraphQLError] | None:
        """Return the errors in the variables if graphql-core's own messages would reveal the schema."""
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


class _Variables(Visitor):
    """Counts the occurrences of each variable."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter[str]()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.counts[node.name.value] += 1

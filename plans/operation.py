"""Plans of operations, and their execution."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, cast

from graphql import (
    DirectiveNode,
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    located_error,
    print_ast,
    visit,
)
from graphql.execution.values import VariableValues
from graphql.pyutils import inspect, is_awaitable

from plans.bounds import UNBOUNDED, Bounds, ChargeBytes
from plans.fields import ResolveField
from plans.generation import MAX_GENERATED_FIELDS, Generation
from plans.info import SelectedField
from plans.listing import list_plan
from plans.resolvers import Resolve, plan_subscriber
from plans.run import MAX_UNCOUNTED_CHARS, Run
from plans.selections import Selections
from plans.unplannable import Unplannable
from plans.variables import Variables

_MAX_SHAPES = 16
_UNPLANNABLE_DIRECTIVES = {"defer", "stream", "experimental_disableErrorPropagation"}


@dataclass(frozen=True, slots=True)
class _Shape:
    """The fields of an operation for one combination of skipped and included selections.

    `size` is the approximate size of the response in bytes, without the values of its root fields. `sources`
    grows when a type occurs for the first time.
    """

    size: int
    fields: list[ResolveField]
    subscription: tuple[SelectedField, Resolve] | None
    sources: Sequence[str]


def plan_operation(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    *,
    hide_suggestions: bool = False,
    max_generated_fields: int = MAX_GENERATED_FIELDS,
) -> "OperationPlan":
    """Return the plan of an operation of a valid document.

    With `hide_suggestions`, errors in variables do not suggest names from the schema. Source is generated for
    at most `max_generated_fields` of the selected fields; the others are executed one by one.

    Raises:
        Unplannable: plans do not support the operation.
    """
    return OperationPlan(
        schema,
        document,
        operation,
        hide_suggestions=hide_suggestions,
        max_generated_fields=max_generated_fields,
    )


class OperationPlan:
    """A compiled operation, which can be executed with any variables."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        *,
        hide_suggestions: bool = False,
        max_generated_fields: int = MAX_GENERATED_FIELDS,
    ) -> None:
        """Plan everything that does not depend on variables.

        Raises:
            Unplannable: plans do not support the operation.
        """
        root_type = schema.get_root_type(operation.operation)
        if root_type is None:
            raise Unplannable(f"a schema without a {operation.operation.value} type")
        self._schema = schema
        self._root_type: GraphQLObjectType = root_type
        self.operation = operation
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._variables = Variables(schema, operation, hide_suggestions=hide_suggestions)
        self._max_generated_fields = max_generated_fields
        self._deciding = _deciding_variables(operation, self._fragments)
        self._shapes: dict[tuple[Any, ...], _Shape] = {}
        self._changing_shapes = Lock()
        if not self._deciding:
            self._shape(VariableValues({}, {}))

    @property
    def shape_count(self) -> int:
        """The number of cached combinations of skipped and included selections."""
        return len(self._shapes)

    def has_shape(self, variables: Mapping[str, Any]) -> bool:
        """Return whether `bind` plans nothing for these variables."""
        if not self._deciding:
            return True
        values = self._variables.values(variables)
        return isinstance(values, list) or self._key(values) in self._shapes

    def listing(self) -> str:
        """Return the generated source, and comments that say how each field is resolved.

        A field with `@skip` or `@include` is listed if true variables include it.

        Raises:
            Unplannable: plans do not support the operation with these variables.
        """
        variables = VariableValues({}, dict.fromkeys(self._deciding, True))
        selections = self._selections(variables, Generation(sys.maxsize))
        definitions = ", ".join(map(print_ast, self.operation.variable_definitions or ()))
        name = "" if self.operation.name is None else f" {self.operation.name.value}"
        title = f"# {self.operation.operation.value}{name}{f' ({definitions})' if definitions else ''}"
        return list_plan(title, self._root_type, selections)

    def bind(self, variables: Mapping[str, Any]) -> "BoundOperation | list[GraphQLError]":
        """Return the operation with these variables, or the errors in them.

        Raises:
            Unplannable: plans do not support the operation with these variables.
        """
        values = self._variables.values(variables)
        if isinstance(values, list):
            return values
        return BoundOperation(self.operation.operation, self._shape(values), values)

    def _shape(self, variables: VariableValues) -> _Shape:
        """Return the cached shape for the variables that `@skip` and `@include` use, or plan it."""
        key = self._key(variables)
        found = self._shapes.get(key)
        if found is None:
            found = self._planned_shape(variables)
            with self._changing_shapes:
                if len(self._shapes) >= _MAX_SHAPES:
                    # The oldest one.
                    del self._shapes[next(iter(self._shapes))]
                self._shapes[key] = found
        return found

    def _key(self, variables: VariableValues) -> tuple[Any, ...]:
        return tuple(variables.coerced.get(name) for name in self._deciding)

    def _planned_shape(self, variables: VariableValues) -> _Shape:
        selections = self._selections(variables, Generation(self._max_generated_fields))
        fields, size = selections.root(self._root_type)
        if self.operation.operation is not OperationType.SUBSCRIPTION:
            return _Shape(size, fields, None, selections.sources)
        if len(fields) != 1:
            raise Unplannable("a subscription that does not have exactly one root field")
        selected = selections.root_field(self._root_type)
        return _Shape(size, fields, (selected, plan_subscriber(selected)), selections.sources)

    def _selections(self, variables: VariableValues, generation: Generation) -> Selections:
        return Selections(self._schema, self.operation, self._fragments, variables, generation)


class PlanResult(ExecutionResult):
    """A response, with the work that it took.

    `work` is the number of completed fields, where awaited values and errors count as several fields. `size`
    is the approximate size of the response in bytes, without short strings, of which `charged_bytes` were
    charged during the execution. `omitted_errors` is the number of errors that are not in `errors`.
    """

    __slots__ = ("charged_bytes", "omitted_errors", "size", "work")

    def __init__(self, data: dict[str, Any] | None, run: Run) -> None:
        self.data = data
        self.errors = run.errors or None
        self.extensions = None
        self.work = run.work
        self.size = run.size
        self.charged_bytes = run.charged_bytes
        self.omitted_errors = run.omitted_errors

    @property
    def max_size(self) -> int:
        """The size in bytes with short strings, at most: a character is up to four bytes."""
        return self.size + self.work * 4 * MAX_UNCOUNTED_CHARS


class BoundOperation:
    """An operation with its variables. A subscription is executed once per event, others once."""

    __slots__ = ("_kind", "_shape", "_variables")

    def __init__(self, kind: OperationType, shape: _Shape, variables: VariableValues) -> None:
        self._kind = kind
        self._shape = shape
        self._variables = variables

    async def execute(
        self,
        context: Any,
        root_value: Any = None,
        bounds: Bounds = UNBOUNDED,
        charge_bytes: ChargeBytes | None = None,
    ) -> "PlanResult":
        """Execute the operation and return the response. `root_value` is the event of a subscription.

        With `charge_bytes`, a response of more than 64 kB is charged while it grows. The execution ends with
        what that raises.

        Raises:
            ResponseTooLarge: the response exceeds its bounds.
        """
        run = self._run(context, root_value, bounds, charge_bytes)
        data: dict[str, Any] = {}
        serially = self._kind is OperationType.MUTATION
        try:
            for resolve in self._shape.fields:
                resolve(run, root_value, data, None)
                if serially:
                    await run.settle()
                    if run.is_null:
                        break
                elif run.work >= run.pauses_at:
                    await run.pause()
        except GraphQLError as error:
            run.fail(partial(located_error, error), None)
        except Exception:
            run.give_up()
            raise
        await run.settle()
        run.check_size()
        return PlanResult(None if run.is_null else data, run)

    def execute_at_once(
        self, context: Any, root_value: Any = None, bounds: Bounds = UNBOUNDED
    ) -> "PlanResult | None":
        """Execute the operation synchronously; None if a resolver has to be awaited or fails.

        In that case no coroutine has started, and `execute` can run as if there had been no attempt.

        Raises:
            ResponseTooLarge: the response exceeds its bounds.
        """
        run = self._run(context, root_value, bounds)
        run.pauses_at = math.inf
        data: dict[str, Any] = {}
        try:
            for resolve in self._shape.fields:
                resolve(run, root_value, data, None)
        except GraphQLError:
            run.give_up()
            return None
        if run.is_waiting or run.errors:
            run.give_up()
            return None
        run.check_size()
        return PlanResult(data, run)

    def _run(
        self, context: Any, root_value: Any, bounds: Bounds, charge_bytes: ChargeBytes | None = None
    ) -> Run:
        run = Run(context, root_value, self._variables, bounds, charge_bytes)
        run.work = len(self._shape.fields)
        run.size = self._shape.size
        return run

    @property
    def sources(self) -> Sequence[str]:
        """The source of each function that has been generated for the operation, inner ones first."""
        return self._shape.sources

    @property
    def is_subscription(self) -> bool:
        """Whether the operation is executed once per event."""
        return self._kind is OperationType.SUBSCRIPTION

    async def events(self, context: Any, root_value: Any = None) -> AsyncGenerator[Any]:
        """Open a subscription's stream of events, each to be passed to `execute` as its `root_value`.

        Raises:
            GraphQLError: the stream cannot be opened. The error has a path in the response.
        """
        if self._shape.subscription is None:
            raise TypeError("only a subscription has events")
        selected, subscribe = self._shape.subscription
        run = Run(context, root_value, self._variables, UNBOUNDED)
        try:
            stream = subscribe(run, root_value, (None, selected.key, {}, True))
            if is_awaitable(stream):
                stream = await stream
            return _checked_stream(stream)
        except Exception as error:
            raise located_error(error, selected.nodes, [selected.key]) from error


def _checked_stream(stream: object) -> AsyncGenerator[Any]:
    if isinstance(stream, AsyncGenerator):
        return cast("AsyncGenerator[Any]", stream)
    if not isinstance(stream, AsyncIterable):
        raise GraphQLError(f"Subscription field must return AsyncIterable. Received: {inspect(stream)}.")
    return _generated(cast("AsyncIterable[Any]", stream))


async def _generated(stream: AsyncIterable[Any]) -> AsyncGenerator[Any]:
    async for event in stream:
        yield event


def _deciding_variables(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[str, ...]:
    """Return the variables that `@skip` and `@include` use anywhere in the operation.

    Raises:
        Unplannable: the operation uses another directive that changes its execution.
    """
    finder = _DecidingVariables()
    pending: list[OperationDefinitionNode | FragmentDefinitionNode] = [operation]
    seen: set[str] = set()
    while pending:
        visit(pending.pop(), finder)
        found = finder.spreads - seen
        seen |= found
        pending += [fragments[name] for name in found if name in fragments]
    return tuple(sorted(finder.names))


class _DecidingVariables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.spreads: set[str] = set()

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        self.spreads.add(node.name.value)

    def enter_directive(self, node: DirectiveNode, *_: Any) -> Any:
        name = node.name.value
        if name in _UNPLANNABLE_DIRECTIVES:
            raise Unplannable(f"@{name}")
        if name in {"skip", "include"}:
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    self.names.add(argument.value.name.value)

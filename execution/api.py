"""The API as a whole: documents in, answers out. Transports need nothing else."""

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import thread_time
from typing import Any, cast
from weakref import WeakValueDictionary

import strawberry
from graphql import Executor, GraphQLError, GraphQLInputObjectType, GraphQLSchema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types import ExecutionContext, ExecutionResult

from execution.answers import (
    MAX_ERRORS,
    Answer,
    Faults,
    answer_of,
    encode_json,
    invalid,
    refused,
    too_large,
)
from execution.budgets import BYTES_PER_FIELD, UNLIMITED, WORK_PER_SECOND, Budget
from execution.documents import Document, DocumentCache, PreparedDocument
from execution.limits import DocumentLimits, DocumentTooComplex
from execution.operation import Preparation, PreparedOperation
from plans import BoundOperation, Bounds, PlanResult, ResponseTooLarge, Turns
from resolvers.context import Context
from resolvers.errors import RateLimited, Refusal
from schema.date_time import DATE_TIME
from schema.list_sizes import IntrospectionSizes
from schema.root import Mutation, Query, Subscription

# JSON writes a control character, which is one byte, as \u0001.
_MOST_ESCAPED = 6


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document, with variables, to be executed for one request.

    `query` is the document's text, and the operation's `name` tells it from others in there.
    """

    query: str
    name: str | None
    prepared: PreparedOperation
    errors: tuple[GraphQLError, ...]
    """What is wrong with the document; then it cannot be executed."""
    variables: Mapping[str, Any]
    request_id: str
    cost: int
    """How many fields its answer, or each of its events, can have at most; 0 if it is not valid."""

    def bind(self) -> BoundOperation | list[GraphQLError] | None:
        """Return it with its variables, or what is wrong with them; None where graphql-core executes it."""
        return None if self.errors else self.prepared.bind(self.variables)


class LiveOperation:
    """A subscription as far as its events go: wherever it starts, and whoever asks for it."""

    def __init__(
        self, root_fields: Collection[str], planned: BoundOperation | None, *, cost: int, bounds: Bounds
    ) -> None:
        """Execute its events by a plan, if there is one."""
        self.root_fields = root_fields
        self._planned = planned
        self._cost = cost
        self._bounds = bounds

    def execute_at_once(self, context: Context, event: object, budget: Budget = UNLIMITED) -> Answer | None:
        """Return an event's answer, if there is no need to wait for anything, and nothing fails."""
        if self._planned is None:
            return None
        try:
            budget.take(self._cost)
        except RateLimited:
            return None
        try:
            result = self._planned.execute_at_once(context, event, self._bounds)
        except ResponseTooLarge:
            result = None
        if result is None:
            # It is executed again, and counted then.
            budget.charge(-self._cost)
            return None
        budget.charge(_work_of(result) - self._cost)
        return {"data": result.data}


class Api:
    """Executes operations against the schema."""

    def __init__(
        self, limits: DocumentLimits | None = None, *, introspection: bool = True, plans: bool = True
    ) -> None:
        """Build the schema; without `plans`, graphql-core executes all operations."""
        self._limits = limits or DocumentLimits()
        self.max_cost = self._limits.answer_fields
        self._bounds = Bounds(
            max_bytes=self._limits.answer_bytes, max_errors=MAX_ERRORS, next_turn=Turns().wait
        )
        self._live = WeakValueDictionary[tuple[str, str | None, str], LiveOperation]()
        self._schema = _Schema(
            Query,
            Mutation,
            Subscription,
            extensions=[partial(PreparedDocument, self.prepare)],
            execution_context_class=_Execution,
            config=StrawberryConfig(scalar_map={datetime: DATE_TIME}),
        )
        core = self._schema.core
        preparation = Preparation(core, IntrospectionSizes(core), plans=plans, hides_schema=not introspection)
        self._documents = DocumentCache(self._limits, preparation)

    def sdl(self) -> str:
        """Return the schema in the schema definition language, ending in a line break."""
        return self._schema.as_str() + "\n"

    def prepare(self, text: str, budget: Budget = UNLIMITED) -> Document:
        """Return the document of that text, parsed and validated.

        Raises:
            DocumentMalformed: the text is not a document.
            DocumentTooComplex: it is over a limit.
            RateLimited: the document is new, and the budget is used up.
        """
        return self._documents.prepare(text, budget)

    def operation(
        self,
        query: str,
        name: str | None,
        variables: Mapping[str, Any],
        request_id: str,
        budget: Budget = UNLIMITED,
    ) -> Operation:
        """Return the operation of that name, or without a name the only one, of the document.

        Raises:
            DocumentMalformed: the text is not a document.
            DocumentTooComplex: it is over a limit.
            OperationUnknown: which operation is meant cannot be told.
            RateLimited: the document or the size of its variables is new, and the budget is used up.
        """
        document = self.prepare(query, budget)
        prepared = document.operation(name)
        cost = 0 if document.errors else prepared.cost(variables, budget)
        # The text that is kept already: each of many streams would hold one of its own.
        return Operation(document.text, name, prepared, document.errors, variables, request_id, cost)

    def check_cost(self, operation: Operation) -> None:
        """Accept what the operation may cost with its variables.

        Raises:
            DocumentTooComplex: that is over the limit.
        """
        cost = operation.cost
        if operation.prepared.is_subscription:
            most = self._limits.event_fields
            if cost > most:
                raise DocumentTooComplex(
                    f"Each event could have {cost} fields, which is over the limit of {most} for the events"
                    " of a subscription. Ask for smaller pages, or fetch the rest with a query."
                )
        elif cost > self.max_cost:
            raise DocumentTooComplex(
                f"The answer could have {cost} fields, over {self.max_cost}: ask for smaller pages."
            )

    async def execute(self, operation: Operation, context: Context, budget: Budget = UNLIMITED) -> Answer:
        """Execute a query or mutation; what it comes to is drawn from the budget, which must have its cost.

        Raises:
            RateLimited: the budget does not have that much left.
        """
        budget.take(operation.cost)
        bound = self._bound(operation, budget)
        if isinstance(bound, list):
            budget.charge(-operation.cost)
            return invalid(bound)
        context.selection = operation.prepared.selection
        faults = Faults(operation.request_id)
        try:
            if bound is not None:
                return await self._executed(bound, operation, context, faults=faults, budget=budget)
            result = await self._schema.execute(
                operation.query,
                variable_values=dict(operation.variables),
                operation_name=operation.name,
                context_value=context,
            )
            return self._within_bytes(answer_of(result, faults))
        finally:
            faults.close()

    def _bound(self, operation: Operation, budget: Budget) -> BoundOperation | list[GraphQLError] | None:
        """Return what `bind` does, and draw the time that it takes."""
        started = thread_time()
        bound = operation.bind()
        budget.charge((thread_time() - started) * WORK_PER_SECOND)
        return bound

    async def _executed(
        self,
        bound: BoundOperation,
        operation: Operation,
        context: Context,
        *,
        event: object = None,
        faults: Faults,
        budget: Budget,
    ) -> Answer:
        """Execute an operation whose cost has been drawn, and give back what it has not come to."""
        try:
            result = await bound.execute(context, event, self._bounds)
        except ResponseTooLarge:
            return too_large(self._limits.answer_bytes)
        budget.charge(_work_of(result) - operation.cost)
        answer = answer_of(result, faults, omitted_errors=result.omitted_errors)
        if "errors" in answer or result.size * _MOST_ESCAPED > self._limits.answer_bytes:
            return self._within_bytes(answer)
        return answer

    def _within_bytes(self, answer: Answer) -> Answer:
        if len(encode_json(answer)) > self._limits.answer_bytes:
            return too_large(self._limits.answer_bytes)
        return answer

    async def stream(
        self, operation: Operation, context: Context, budget: Budget = UNLIMITED
    ) -> AsyncGenerator[Answer]:
        """Execute any operation: a subscription gives an answer for each event, the others give one.

        Each event waits until its cost can be drawn from the budget. An answer without `data` is not an
        event's: it says why the stream is over.
        """
        faults = Faults(operation.request_id)
        try:
            async with aclosing(self._answers(operation, context, faults, budget)) as answers:
                async for answer in answers:
                    yield answer
        except Refusal as error:
            refusal = error
        else:
            return
        finally:
            faults.close()
        yield refused(refusal)

    async def _answers(
        self, operation: Operation, context: Context, faults: Faults, budget: Budget
    ) -> AsyncGenerator[Answer]:
        bound = self._bound(operation, budget)
        if isinstance(bound, list):
            yield invalid(bound)
            return
        if bound is not None and bound.is_subscription:
            try:
                events = await bound.events(context)
            except GraphQLError as error:
                yield answer_of(ExecutionResult(None, [error]), faults)
                return
            async with aclosing(events):
                async for event in events:
                    await budget.wait_for(operation.cost)
                    yield await self._executed(
                        bound, operation, context, event=event, faults=faults, budget=budget
                    )
            return
        results = await self._schema.stream(
            operation.query,
            variable_values=dict(operation.variables),
            operation_name=operation.name,
            context_value=context,
        )
        async with aclosing(results):
            async for result in results:
                if not isinstance(result, ExecutionResult):
                    raise TypeError("incremental delivery is not part of this API")
                yield self._within_bytes(answer_of(result, faults))
                await budget.wait_for(operation.cost)

    def live_operation(self, operation: Operation) -> "LiveOperation":
        """Return what a subscription has in common with others whose events, for one viewer, are the same."""
        prepared = operation.prepared
        deciding = json.dumps(prepared.without_place(operation.variables), sort_keys=True)
        key = (operation.query, operation.name, deciding)
        found = self._live.get(key)
        if found is None:
            bound = operation.bind()
            planned = bound if isinstance(bound, BoundOperation) else None
            found = self._live[key] = LiveOperation(
                prepared.root_fields, planned, cost=operation.cost, bounds=self._bounds
            )
        return found


def _work_of(result: PlanResult) -> int:
    return result.work + result.size // BYTES_PER_FIELD


class _Execution(StrawberryGraphQLCoreExecutionContext):
    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        """Execute each event of a subscription with notes of its own.

        graphql-core notes which fields it has collected, under the identity of a list that it makes anew for
        every event, and keeps the notes for as long as the subscription lasts: about 2 kB for each event.
        """
        execution = cast(Executor[Any], super().build_per_event_executor(payload))  # pyright: ignore[reportUnknownMemberType]
        execution._relevant_sub_fields = {}  # pyright: ignore[reportPrivateUsage]
        return execution


class _Schema(strawberry.Schema):
    @property
    def core(self) -> GraphQLSchema:
        """The graphql-core schema, which validation needs."""
        return self._schema

    def _extend_introspection(self) -> None:
        """Leave `__Type.isOneOf` to graphql-core: Strawberry's resolver fails for wrapping types.

        The types of introspection are those of the whole process, which another schema may have changed.
        """
        # https://spec.graphql.org/draft/#sec-The-__Type-Type
        fields = self._schema.type_map["__Type"].fields  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
        fields["isOneOf"].resolve = _is_one_of

    def process_errors(self, errors: list[Any], execution_context: ExecutionContext | None = None) -> None:
        """Log nothing: `answer_of` does, where it knows which errors are the client's own."""


def _is_one_of(kind: object, _info: object) -> bool | None:
    return kind.is_one_of if isinstance(kind, GraphQLInputObjectType) else None

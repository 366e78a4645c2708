"""The API behind the transports: it takes operations and returns answers."""

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Any, cast
from weakref import WeakValueDictionary

import strawberry
from graphql import Executor, GraphQLError, GraphQLInputObjectType, GraphQLObjectType, GraphQLSchema
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
    last_answer,
    too_large,
)
from execution.budgets import BYTES_PER_FIELD, UNLIMITED, WORK_PER_SECOND, Budget
from execution.documents import Document, DocumentCache, PreparedDocument
from execution.limits import DocumentLimits, DocumentTooComplex
from execution.operation import NotPlanned, Preparation, PreparedOperation
from execution.work_thread import WorkThread
from plans import BoundOperation, Bounds, ChargeBytes, PlanResult, ResponseTooLarge, Turns
from resolvers.context import Context
from resolvers.errors import RateLimited, Refusal
from schema.date_time import DATE_TIME
from schema.inbox import EVENTS
from schema.list_sizes import IntrospectionSizes
from schema.root import Mutation, Query, Subscription

# An operation of a document with more fields is planned in a thread. A field takes up to 0.1 ms.
_FIELDS_PLANNED_AT_ONCE = 50
# JSON escapes a control character, one byte in UTF-8, as six: \u0001.
_MAX_ESCAPED_BYTES = 6


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation with the variables of one request.

    `query` is the text of its document; `name` selects it if the document has several operations.
    """

    query: str
    name: str | None
    prepared: PreparedOperation
    errors: tuple[GraphQLError, ...]
    """The document's validation errors. An operation with errors cannot be executed."""
    variables: Mapping[str, Any]
    request_id: str
    cost: int
    """The maximum number of fields in its answer, or in each of its events; 0 if the document is invalid."""

    def bind(self) -> BoundOperation | list[GraphQLError] | None:
        """Bind the variables, or return their errors; None if graphql-core has to execute the operation."""
        return None if self.errors else self.prepared.bind(self.variables)


class LiveOperation:
    """The execution of a subscription's events, shared by all streams of the same subscription.

    Neither the position at which a stream starts nor its viewer is part of it.
    """

    def __init__(
        self, root_fields: Collection[str], planned: BoundOperation | None, *, cost: int, bounds: Bounds
    ) -> None:
        self.root_fields = root_fields
        self._planned = planned
        self._cost = cost
        self._bounds = bounds

    def execute_at_once(self, context: Context, event: object, budget: Budget = UNLIMITED) -> Answer | None:
        """Return an event's answer if it needs no awaiting and has no errors; otherwise None."""
        if self._planned is None:
            return None
        try:
            reserved = budget.take(self._cost)
        except RateLimited:
            return None
        try:
            result = self._planned.execute_at_once(context, event, self._bounds)
        except ResponseTooLarge:
            result = None
        if result is None or result.max_size * _MAX_ESCAPED_BYTES > self._bounds.max_bytes:
            # The caller executes the event again, which charges the budget.
            budget.charge(-reserved)
            return None
        budget.charge(_work_of(result) - reserved)
        return {"data": result.data}


class Api:
    """Executes operations against the schema."""

    def __init__(
        self, limits: DocumentLimits | None = None, *, introspection: bool = True, plans: bool = True
    ) -> None:
        """Build the schema. Without `plans`, graphql-core executes all operations."""
        self._limits = limits or DocumentLimits()
        self.max_cost = self._limits.answer_fields
        self._turns = Turns()
        self._bounds = Bounds(
            max_bytes=self._limits.answer_bytes, max_errors=MAX_ERRORS, next_turn=self._turns.wait
        )
        self._live = WeakValueDictionary[tuple[str, str | None, str], LiveOperation]()
        self._schema = _Schema(
            Query,
            Mutation,
            Subscription,
            types=list(EVENTS.values()),
            extensions=[partial(PreparedDocument, self._prepared_now)],
            execution_context_class=_Execution,
            config=StrawberryConfig(scalar_map={datetime: DATE_TIME}),
        )
        core = self._schema.core
        preparation = Preparation(core, IntrospectionSizes(core), plans=plans, hides_schema=not introspection)
        self._thread = WorkThread()
        self._documents = DocumentCache(self._limits, preparation, self._thread)

    def sdl(self) -> str:
        """Return the schema in the schema definition language, with a final newline."""
        return self._schema.as_str() + "\n"

    async def prepare(self, text: str, budget: Budget = UNLIMITED) -> Document:
        """Return the parsed and validated document. A thread prepares one that is not cached.

        Raises:
            DocumentMalformed: the text is not a GraphQL document.
            DocumentTooComplex: the document exceeds a limit.
            RateLimited: the document is not cached, and the budget is exhausted.
        """
        return await self._documents.prepare(text, budget)

    async def operation(
        self,
        query: str,
        name: str | None,
        variables: Mapping[str, Any],
        request_id: str,
        budget: Budget = UNLIMITED,
    ) -> Operation:
        """Return the operation with this name, or the document's only operation if `name` is None.

        Raises:
            DocumentMalformed: the text is not a GraphQL document.
            DocumentTooComplex: the document exceeds a limit.
            OperationUnknown: the document has no such operation, or several and `name` is None.
            RateLimited: the document, its cost or its plan is not cached, and the budget is exhausted.
        """
        document = self._documents.known(query) or await self.prepare(query, budget)
        prepared = document.operation(name)
        cost = 0
        if not document.errors:
            cost = prepared.cost(variables, budget)
            if document.fields > _FIELDS_PLANNED_AT_ONCE and not prepared.is_planned(variables):
                async with self._thread.turn_of(budget):
                    await self._thread.run(partial(prepared.bind, variables), budget)
        # The text from the cache, so that many streams of one document share a single copy.
        declared = prepared.declared(variables)
        return Operation(document.text, name, prepared, document.errors, declared, request_id, cost)

    async def plan_listing(self, text: str, name: str | None) -> str:
        """Return the source that is generated for the operation, and how each field is resolved.

        Raises:
            DocumentMalformed: the text is not a GraphQL document.
            DocumentTooComplex: the document exceeds a limit.
            OperationUnknown: the document has no such operation, or several and `name` is None.
            NotPlanned: the document is invalid, or plans do not support the operation.
        """
        document = await self.prepare(text)
        if document.errors:
            raise NotPlanned("the document is invalid: " + " ".join(each.message for each in document.errors))
        return document.operation(name).plan_listing()

    def _prepared_now(self, text: str) -> Document:
        return self._documents.prepare_now(text)

    def check_cost(self, operation: Operation) -> None:
        """Check that the operation with its variables is within the cost limit.

        Raises:
            DocumentTooComplex: its cost exceeds the limit.
        """
        cost = operation.cost
        if operation.prepared.is_subscription:
            most = self._limits.event_fields
            if cost > most:
                raise DocumentTooComplex(
                    f"Each event could have {cost} fields, which exceeds the limit of {most} for the events"
                    " of a subscription. Request smaller pages, or fetch the rest with a query."
                )
        elif cost > self.max_cost:
            raise DocumentTooComplex(
                f"The answer could have {cost} fields, which exceeds the limit of {self.max_cost}. Request"
                " smaller pages."
            )

    async def execute(self, operation: Operation, context: Context, budget: Budget = UNLIMITED) -> Answer:
        """Execute a query or mutation, and charge the budget with the work that it took.

        Raises:
            RateLimited: the budget has less left than the operation's cost.
        """
        reserved = budget.take(operation.cost)
        bound = self._bound(operation, budget)
        if isinstance(bound, list):
            budget.charge(-reserved)
            return invalid(bound)
        context.has_one_root_field = operation.prepared.has_one_root_field
        faults = Faults(operation.request_id)
        try:
            if bound is not None:
                return await self._executed(
                    bound,
                    context,
                    reserved=reserved,
                    charge_bytes=budget.take_bytes,
                    faults=faults,
                    budget=budget,
                )
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
        """Bind the operation, and charge the budget with the time that it took."""
        # Every request does this, and reading the processor time would be a system call.
        started = perf_counter()
        bound = operation.bind()
        budget.charge((perf_counter() - started) * WORK_PER_SECOND)
        return bound

    async def _executed(
        self,
        bound: BoundOperation,
        context: Context,
        *,
        event: object = None,
        reserved: int,
        charge_bytes: ChargeBytes | None = None,
        faults: Faults,
        budget: Budget,
    ) -> Answer:
        """Execute an operation for which work is reserved, and adjust the charge to the actual work."""
        try:
            result = await bound.execute(context, event, self._bounds, charge_bytes)
        except ResponseTooLarge:
            return too_large(self._limits.answer_bytes)
        except RateLimited as error:
            # It is not a refusal of the whole request, because a mutation may have had an effect.
            return {"data": None, **last_answer(error)}
        budget.charge(_work_of(result) - reserved)
        answer = answer_of(result, faults, omitted_errors=result.omitted_errors)
        if "errors" in answer or result.max_size * _MAX_ESCAPED_BYTES > self._limits.answer_bytes:
            return self._within_bytes(answer)
        return answer

    def _within_bytes(self, answer: Answer) -> Answer:
        if len(encode_json(answer)) > self._limits.answer_bytes:
            return too_large(self._limits.answer_bytes)
        return answer

    async def stream(
        self, operation: Operation, context: Context, budget: Budget = UNLIMITED
    ) -> AsyncGenerator[Answer]:
        """Yield the answer of a query or mutation, or the answer of each event of a subscription.

        Each event waits until the budget has its cost. An answer without `data` does not belong to an event:
        it is the last one, and says why the stream ended.
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
        yield last_answer(refusal)

    async def _answers(
        self, operation: Operation, context: Context, faults: Faults, budget: Budget
    ) -> AsyncGenerator[Answer]:
        bound = self._bound(operation, budget)
        if isinstance(bound, list):
            yield invalid(bound)
            return
        context.has_one_root_field = operation.prepared.has_one_root_field
        if bound is not None and bound.is_subscription:
            try:
                events = await bound.events(context)
            except GraphQLError as error:
                yield answer_of(ExecutionResult(None, [error]), faults)
                return
            async with aclosing(events):
                async for event in events:
                    reserved = await budget.wait_for(operation.cost)
                    yield await self._executed(
                        bound, context, event=event, reserved=reserved, faults=faults, budget=budget
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
        """Return the shared execution of all subscriptions that deliver the same events to a given viewer."""
        prepared = operation.prepared
        deciding = json.dumps(prepared.without_after(operation.variables), sort_keys=True)
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
    """Return the work that has not been charged during the execution."""
    return result.work + (result.size - result.charged_bytes) // BYTES_PER_FIELD


class _Execution(StrawberryGraphQLCoreExecutionContext):
    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        """Give each event of a subscription its own field cache.

        graphql-core caches collected fields under the identity of a list that it creates for every event, and
        keeps the cache for the lifetime of the subscription: a leak of about 2 kB per event.
        """
        execution = cast(Executor[Any], super().build_per_event_executor(payload))  # pyright: ignore[reportUnknownMemberType]  # of Unknown
        execution._relevant_sub_fields = {}
        return execution


class _Schema(strawberry.Schema):
    @property
    def core(self) -> GraphQLSchema:
        """The underlying graphql-core schema."""
        return self._schema

    def _extend_introspection(self) -> None:
        """Resolve `__Type.isOneOf` as graphql-core does: Strawberry's resolver fails for wrapping types.

        All schemas of the process share the types of introspection, so another schema may have changed them.
        """
        # https://spec.graphql.org/draft/#sec-The-__Type-Type
        kind = cast(GraphQLObjectType, self._schema.type_map["__Type"])
        kind.fields["isOneOf"].resolve = _is_one_of

    def process_errors(self, errors: list[Any], execution_context: ExecutionContext | None = None) -> None:
        """Log nothing: `answer_of` logs, because it can tell the server's faults from client errors."""


def _is_one_of(kind: object, _info: object) -> bool | None:
    return kind.is_one_of if isinstance(kind, GraphQLInputObjectType) else None

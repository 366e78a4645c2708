"""The API as a whole: documents in, answers out. Transports need nothing else."""

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast
from weakref import WeakValueDictionary

import strawberry
from graphql import Executor, GraphQLError, GraphQLSchema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types import ExecutionContext, ExecutionResult

from plans import BoundOperation
from resolvers.context import Context
from schema.answers import Answer, answer_of, invalid
from schema.date_time import DATE_TIME
from schema.documents import Document, DocumentCache, PreparedDocument
from schema.limits import DocumentLimits, DocumentTooComplex
from schema.operations import PreparedOperation
from schema.root import Mutation, Query, Subscription


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document, to be executed for one request."""

    query: str
    name: str | None
    variables: Mapping[str, Any]
    request_id: str


class LiveOperation:
    """A subscription as far as its events go: wherever it starts, and whoever asks for it."""

    def __init__(self, root_fields: Collection[str], planned: BoundOperation | None) -> None:
        """Execute its events by a plan, if there is one."""
        self.root_fields = root_fields
        self._planned = planned

    def execute_at_once(self, context: Context, event: object) -> Answer | None:
        """Return an event's answer, if there is no need to wait for anything, and nothing fails."""
        result = None if self._planned is None else self._planned.execute_at_once(context, event)
        return None if result is None else {"data": result.data}


class Api:
    """Executes operations against the schema."""

    def __init__(self, limits: DocumentLimits | None = None, *, introspection: bool = True) -> None:
        """Build the schema."""
        limits = limits or DocumentLimits()
        self._documents = DocumentCache(limits, introspection=introspection)
        self.max_cost = limits.answer_fields
        self._live = WeakValueDictionary[tuple[str, str | None, str], LiveOperation]()
        self._schema = _Schema(
            Query,
            Mutation,
            Subscription,
            extensions=[partial(PreparedDocument, self.prepare)],
            execution_context_class=_Execution,
            config=StrawberryConfig(scalar_map={datetime: DATE_TIME}),
        )

    def sdl(self) -> str:
        """Return the schema in the schema definition language, ending in a line break."""
        return self._schema.as_str() + "\n"

    def prepare(self, text: str) -> Document:
        """Return the document of that text, parsed and validated.

        Raises:
            GraphQLSyntaxError: the text is no document.
            DocumentTooComplex: it is over a limit.
        """
        return self._documents.prepare(self._schema.core, text)

    def cost(self, operation: PreparedOperation, variables: Mapping[str, Any]) -> int:
        """Return what the operation may cost with these variables.

        Raises:
            DocumentTooComplex: that is over the limit.
        """
        cost = operation.cost(variables)
        if cost > self.max_cost:
            raise DocumentTooComplex(
                f"The answer could have {cost} fields, over {self.max_cost}: ask for smaller pages."
            )
        return cost

    async def execute(self, operation: Operation, context: Context) -> Answer:
        """Execute a query or mutation."""
        document = self.prepare(operation.query)
        prepared = document.operation(operation.name)
        bound = None if document.errors else prepared.bind(operation.variables)
        if isinstance(bound, list):
            return invalid(bound)
        context.selected = prepared.field_names
        if bound is not None:
            return answer_of(await bound.execute(context), operation.request_id)
        result = await self._schema.execute(
            operation.query,
            variable_values=dict(operation.variables),
            operation_name=operation.name,
            context_value=context,
        )
        return answer_of(result, operation.request_id)

    async def stream(self, operation: Operation, context: Context) -> AsyncGenerator[Answer]:
        """Execute any operation: a subscription gives an answer for each event, the others give one."""
        bound = self._bind(operation)
        if isinstance(bound, list):
            yield invalid(bound)
            return
        if bound is not None and bound.is_subscription:
            try:
                events = await bound.events(context)
            except GraphQLError as error:
                yield answer_of(ExecutionResult(None, [error]), operation.request_id)
                return
            async with aclosing(events):
                async for event in events:
                    yield answer_of(await bound.execute(context, event), operation.request_id)
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
                yield answer_of(result, operation.request_id)

    def live_operation(self, operation: Operation) -> "LiveOperation":
        """Return what a subscription has in common with others whose events, for one viewer, are the same."""
        prepared = self.prepare(operation.query).operation(operation.name)
        deciding = json.dumps(prepared.without_place(operation.variables), sort_keys=True)
        key = (operation.query, operation.name, deciding)
        found = self._live.get(key)
        if found is None:
            bound = self._bind(operation)
            planned = bound if isinstance(bound, BoundOperation) else None
            found = self._live[key] = LiveOperation(prepared.root_fields, planned)
        return found

    def _bind(self, operation: Operation) -> BoundOperation | list[GraphQLError] | None:
        document = self.prepare(operation.query)
        return None if document.errors else document.operation(operation.name).bind(operation.variables)


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

    def process_errors(self, errors: list[Any], execution_context: ExecutionContext | None = None) -> None:
        """Log nothing: `answer_of` does, where it knows which errors are the client's own."""

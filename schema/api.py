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

    def bind(self) -> BoundOperation | list[GraphQLError] | None:
        """Return it with its variables, or what is wrong with them; None where graphql-core executes it."""
        return None if self.errors else self.prepared.bind(self.variables)


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

    def operation(
        self, query: str, name: str | None, variables: Mapping[str, Any], request_id: str
    ) -> Operation:
        """Return the operation of that name, or without a name the only one, of the document.

        Raises:
            GraphQLSyntaxError: the text is no document.
            DocumentTooComplex: it is over a limit.
            OperationUnknown: which operation is meant cannot be told.
        """
        document = self.prepare(query)
        # The text that is kept already: each of many streams would hold one of its own.
        return Operation(
            document.text, name, document.operation(name), document.errors, variables, request_id
        )

    def cost(self, operation: Operation) -> int:
        """Return what the operation may cost with its variables.

        Raises:
            DocumentTooComplex: that is over the limit.
        """
        cost = operation.prepared.cost(operation.variables)
        if cost > self.max_cost:
            raise DocumentTooComplex(
                f"The answer could have {cost} fields, over {self.max_cost}: ask for smaller pages."
            )
        return cost

    async def execute(self, operation: Operation, context: Context) -> Answer:
        """Execute a query or mutation."""
        bound = operation.bind()
        if isinstance(bound, list):
            return invalid(bound)
        context.selected = operation.prepared.field_names
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
        bound = operation.bind()
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
        prepared = operation.prepared
        deciding = json.dumps(prepared.without_place(operation.variables), sort_keys=True)
        key = (operation.query, operation.name, deciding)
        found = self._live.get(key)
        if found is None:
            bound = operation.bind()
            planned = bound if isinstance(bound, BoundOperation) else None
            found = self._live[key] = LiveOperation(prepared.root_fields, planned)
        return found


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

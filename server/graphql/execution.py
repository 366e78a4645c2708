"""Executing operations and counting their outcomes."""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache, partial

from db.engine import Database
from db.records import User
from execution.answers import Answer, codes, refusal
from execution.api import Api, LiveOperation, Operation
from execution.budgets import WORK_PER_STATEMENT, Budget
from realtime.broadcaster import Broadcaster
from realtime.cursor_form import CursorForm
from resolvers.context import Context, EventStream, SessionsEnded, UserLimits
from resolvers.rules import Rules
from server.auth.authentication import Identity
from server.graphql.request import GraphQLRequest
from server.graphql.trusted_documents import TrustedDocuments
from server.observability.metrics import OPERATIONS


@dataclass(frozen=True, slots=True)
class Execution:
    """Executes operations, with everything that their resolvers need."""

    api: Api
    database: Database
    broadcaster: Broadcaster
    trusted: TrustedDocuments
    sessions_ended: SessionsEnded
    limits: UserLimits
    rules: Rules
    cursor_form: CursorForm

    async def answer(self, graphql_request: GraphQLRequest, identity: Identity) -> Answer:
        """Execute a query or mutation.

        Raises:
            RateLimited: the budget does not cover its maximum cost.
        """
        async with Context(
            self.database,
            self.broadcaster,
            viewer=identity.user,
            refused=identity.refused,
            session_id=identity.session.id if identity.session else None,
            sessions_ended=self.sessions_ended,
            limits=self.limits,
            rules=self.rules,
            cursor_form=self.cursor_form,
            count_statement=partial(graphql_request.budget.charge, WORK_PER_STATEMENT),
            charge=partial(_charge, graphql_request.budget),
        ) as context:
            answer = await self.api.execute(graphql_request.operation, context, graphql_request.budget)
        if graphql_request.tells_cost:
            cost = {"requested": graphql_request.operation.cost, "maximum": self.api.max_cost}
            answer["extensions"] = {**answer.get("extensions", {}), "cost": cost}
        _count(graphql_request.operation.prepared.root_fields, answer)
        return answer

    async def events(
        self,
        operation: Operation,
        identity: Identity,
        stream: EventStream,
        budget: Budget,
        *,
        last_event_id: str | None = None,
        start: str | None = None,
    ) -> AsyncGenerator[Answer]:
        """Execute a subscription; while it waits for events, it holds no connection to the database.

        It resumes after `last_event_id`, which overrides its variables; without either it begins at `start`.
        """
        async with Context(
            self.database,
            self.broadcaster,
            viewer=identity.user,
            refused=identity.refused,
            stream=stream,
            last_event_id=last_event_id,
            start=start,
            rules=self.rules,
            cursor_form=self.cursor_form,
            count_statement=partial(budget.charge, WORK_PER_STATEMENT),
        ) as context:
            answers = self.api.stream(operation, context, budget)
            async with aclosing(answers):
                async for answer in answers:
                    _count(operation.prepared.root_fields, answer)
                    await context.refresh()
                    yield answer

    def event_at_once(
        self, live: LiveOperation, viewer: User, event: object, budget: Budget
    ) -> Answer | None:
        """Execute a subscription's event synchronously; None if it has to wait, or fails."""
        context = Context(self.database, self.broadcaster, viewer=viewer, rules=self.rules, is_over=True)
        answer = live.execute_at_once(context, event, budget)
        if answer is not None:
            _count(live.root_fields, answer)
        return answer


def _charge(budget: Budget, work: float) -> None:
    budget.check()
    budget.charge(work)


def _count(root_fields: Collection[str], answer: Answer) -> None:
    outcome = "ok"
    if "errors" in answer:
        outcome = "failed" if "INTERNAL" in codes(answer) else "refused"
    for field in root_fields:
        _operations(field, outcome).inc()


# Looking up a labelled series takes longer than incrementing it.
_operations = lru_cache(256)(OPERATIONS.labels)


def is_unavailable(answer: Answer) -> bool:
    """Return whether the operation failed because the database did not answer, so it can be retried."""
    return "UNAVAILABLE" in codes(answer)


def session_ended() -> Answer:
    """Return the last answer of a stream whose session has ended."""
    return refusal("Your session has ended. Sign in again.", "UNAUTHENTICATED")

"""Executing operations for requests, and counting how they end."""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache

from db.engine import Database
from db.records import User
from execution.answers import Answer, codes, refusal
from execution.api import Api, LiveOperation, Operation
from execution.budgets import Budget
from realtime.broadcaster import Broadcaster
from resolvers.context import Context, EventStream, MessageLimit, SessionsEnded
from server.auth.identity import Identity
from server.graphql.request import GraphQLRequest
from server.graphql.trusted_documents import TrustedDocuments
from server.observability.metrics import OPERATIONS


@dataclass(frozen=True, slots=True)
class Execution:
    """Where operations are executed."""

    api: Api
    database: Database
    broadcaster: Broadcaster
    trusted: TrustedDocuments
    sessions_ended: SessionsEnded
    count_message: MessageLimit

    async def answer(self, asked: GraphQLRequest, identity: Identity) -> Answer:
        """Execute a query or mutation.

        Raises:
            RateLimited: its budget does not have what it may come to.
        """
        async with Context(
            self.database,
            self.broadcaster,
            viewer=identity.user,
            refused=identity.refused,
            session_id=identity.session.id if identity.session else None,
            sessions_ended=self.sessions_ended,
            count_message=self.count_message,
        ) as context:
            answer = await self.api.execute(asked.operation, context, asked.budget)
        if asked.tells_cost:
            cost = {"requested": asked.operation.cost, "maximum": self.api.max_cost}
            answer["extensions"] = {**answer.get("extensions", {}), "cost": cost}
        _count(asked.operation.prepared.root_fields, answer)
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
        """Execute a subscription; while the stream waits, it holds no connection to the database.

        It resumes after `last_event_id`, whatever its variables say; without either it starts at `start`.
        """
        async with Context(
            self.database,
            self.broadcaster,
            viewer=identity.user,
            refused=identity.refused,
            stream=stream,
            last_event_id=last_event_id,
            start=start,
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
        """Execute a subscription's event, if there is no need to wait for anything, and nothing fails."""
        context = Context(self.database, self.broadcaster, viewer=viewer, is_over=True)
        answer = live.execute_at_once(context, event, budget)
        if answer is not None:
            _count(live.root_fields, answer)
        return answer


def _count(root_fields: Collection[str], answer: Answer) -> None:
    found = codes(answer)
    outcome = "failed" if "INTERNAL" in found else "refused" if found else "ok"
    for field in root_fields:
        _operations(field, outcome).inc()


# Looking a series up takes longer than counting.
_operations = lru_cache(256)(OPERATIONS.labels)


def is_unavailable(answer: Answer) -> bool:
    """Say whether the answer is none because the database did not answer: it can be asked for again."""
    return "UNAVAILABLE" in codes(answer)


def session_ended() -> Answer:
    """Return what a stream is told when its session has ended."""
    return refusal("Your session has ended: sign in again.", "UNAUTHENTICATED")

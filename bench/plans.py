"""How long the execution of an operation takes without HTTP or a database: `python -m bench.plans`.

It compares graphql-core's executor, plans that are executed field by field, and plans compiled to source.
They take turns, and the median of many turns is printed, so that other load has little effect.
"""

# graphql-core does not type its middleware.
# pyright: reportUnknownVariableType=false

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from time import perf_counter
from typing import Any

import strawberry
import typer
from graphql import DocumentNode, ExecutionResult, GraphQLSchema, OperationDefinitionNode, execute, parse

from plans import BoundOperation, plan_operation
from schema.date_time import DATE_TIME

_ITEMS = 25


@strawberry.type
class User:
    id: strawberry.ID
    username: str
    avatar_url: str | None


@strawberry.type
class Message:
    id: strawberry.ID
    content: str
    created_at: datetime
    by: strawberry.Private[User]

    @strawberry.field
    def mine(self, info: strawberry.Info) -> bool:
        return info.context == self.by.username

    @strawberry.field
    def author(self, info: strawberry.Info) -> User:
        return self.by


@strawberry.type
class MessageEdge:
    cursor: str
    node: Message


@strawberry.type
class PageInfo:
    has_previous_page: bool
    start_cursor: str | None


@strawberry.type
class MessageConnection:
    edges: list[MessageEdge]
    page_info: PageInfo


@strawberry.type
class Conversation:
    id: strawberry.ID
    unread_count: int
    last_message: Message | None

    @strawberry.field
    def other_participant(self, info: strawberry.Info) -> User | None:
        return None if self.last_message is None else self.last_message.by


_ADA = User(id=strawberry.ID("U1"), username="ada", avatar_url=None)
_MESSAGES = [
    Message(
        id=strawberry.ID(f"M{number}"),
        content=f"Message {number}, which is about as long as one usually is.",
        created_at=datetime(2026, 11, 28, 12, number, tzinfo=UTC),
        by=_ADA,
    )
    for number in range(_ITEMS)
]
_PAGE = MessageConnection(
    edges=[MessageEdge(cursor=f"cursor {number}", node=each) for number, each in enumerate(_MESSAGES)],
    page_info=PageInfo(has_previous_page=True, start_cursor="cursor 0"),
)
_CONVERSATIONS = [
    Conversation(id=strawberry.ID(f"C{number}"), unread_count=number, last_message=each)
    for number, each in enumerate(_MESSAGES)
]


@strawberry.type
class Query:
    @strawberry.field
    def messages(self) -> MessageConnection:
        return _PAGE

    @strawberry.field
    async def conversations(self) -> list[Conversation]:
        return _CONVERSATIONS

    @strawberry.field
    def viewer(self, info: strawberry.Info) -> User:
        return _ADA


@dataclass(frozen=True, slots=True)
class _Subject:
    name: str
    execute: Callable[[], Awaitable[ExecutionResult]]


_OPERATIONS = {
    "25 messages with authors": "{ messages { edges { cursor node { id content createdAt mine"
    " author { id username avatarUrl } } } pageInfo { hasPreviousPage startCursor } } }",
    "25 conversations": "{ conversations { id unreadCount otherParticipant { id username avatarUrl }"
    " lastMessage { id content createdAt mine } } }",
    "viewer": "{ viewer { id username } }",
}


def main(turns: int = 300) -> None:
    """Print the median time of each operation in microseconds."""
    schema = strawberry.Schema(Query, scalar_overrides={datetime: DATE_TIME})._schema  # pyright: ignore[reportPrivateUsage]  # Strawberry does not publish it
    for name, text in _OPERATIONS.items():
        subjects = _subjects(schema, parse(text))
        times = asyncio.run(_measured(subjects, turns))
        figures = "  ".join(f"{each.name} {times[each.name] * 1e6:8.1f} µs" for each in subjects)
        typer.echo(f"{name:25} {figures}")


def _subjects(schema: GraphQLSchema, document: DocumentNode) -> list[_Subject]:
    async def by_core() -> ExecutionResult:
        result = execute(schema, document, None, "ada")
        return result if isinstance(result, ExecutionResult) else await result

    planned = [_bound(schema, document, generated) for generated in (0, 500)]
    return [
        _Subject("graphql-core", by_core),
        _Subject("one by one", lambda: planned[0].execute("ada")),
        _Subject("source", lambda: planned[1].execute("ada")),
    ]


def _bound(schema: GraphQLSchema, document: DocumentNode, max_generated_fields: int) -> BoundOperation:
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    plan = plan_operation(schema, document, operation, max_generated_fields=max_generated_fields)
    bound = plan.bind({})
    assert isinstance(bound, BoundOperation)
    return bound


async def _measured(subjects: list[_Subject], turns: int) -> dict[str, float]:
    times: dict[str, list[float]] = {each.name: [] for each in subjects}
    answers: list[Any] = [(await each.execute()).data for each in subjects]
    assert answers[0] == answers[1] == answers[2]
    gc.disable()
    for _ in range(turns):
        for subject in subjects:
            started = perf_counter()
            await subject.execute()
            times[subject.name].append(perf_counter() - started)
    gc.enable()
    return {name: median(each) for name, each in times.items()}


if __name__ == "__main__":
    typer.run(main)

"""One execution of a plan: its response as it grows, what is still awaited, and what has failed."""

# graphql-core leaves open what its lists and non-null types are of.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

from graphql import FieldNode, GraphQLError, located_error
from graphql.execution.values import VariableValues

Container: TypeAlias = "dict[str, Any] | list[Any]"

Place: TypeAlias = "tuple[Place | None, str | int, Container, bool]"
"""A position of the response: the place around it, its key there, what holds it, whether it may be null."""

Complete: TypeAlias = "Callable[[Run, Any, Place], Any]"
"""Turns what a resolver returned into the response's value, or raises."""


def path_of(place: "Place | None") -> list[str | int]:
    """Return the response path of a place."""
    keys: list[str | int] = []
    while place is not None:
        keys.append(place[1])
        place = place[0]
    keys.reverse()
    return keys


class Run:
    """The state of one execution.

    Resolvers that are coroutines are awaited in waves: all that are waiting at one time run side by side,
    which is what loaders gather their batches from.
    """

    __slots__ = ("_nulled", "_waiting", "context", "errors", "is_null", "root_value", "variables")

    def __init__(self, context: Any, root_value: Any, variables: VariableValues) -> None:
        self.context = context
        self.root_value = root_value
        self.variables = variables
        self.errors: list[GraphQLError] = []
        self.is_null = False
        """Whether an error has made the whole response null."""
        self._nulled: set[tuple[str | int, ...]] = set()
        self._waiting: list[tuple[Awaitable[Any], Complete, list[FieldNode], Place]] = []

    def wait_for(
        self, value: Awaitable[Any], complete: Complete, nodes: list[FieldNode], place: Place
    ) -> None:
        """Have the value awaited, completed, and put in its place."""
        self._waiting.append((value, complete, nodes, place))

    async def settle(self) -> None:
        """Await all that is waiting, and what comes of it, until nothing is left."""
        try:
            while self._waiting:
                wave, self._waiting = self._waiting, []
                if len(wave) == 1:
                    await self._settle(*wave[0])
                    continue
                async with asyncio.TaskGroup() as tasks:
                    for each in wave:
                        tasks.create_task(self._settle(*each))
        finally:
            # Left over only when we are cancelled.
            self.give_up()

    @property
    def is_waiting(self) -> bool:
        """Whether something has to be awaited."""
        return bool(self._waiting)

    def give_up(self) -> None:
        """Await nothing of what is waiting."""
        for value, *_ in self._waiting:
            if isinstance(value, asyncio.Future):
                value.cancel()
            elif asyncio.iscoroutine(value):
                value.close()

    async def _settle(
        self, value: Awaitable[Any], complete: Complete, nodes: list[FieldNode], place: Place
    ) -> None:
        _, key, container, _ = place
        try:
            container[key] = complete(self, await value, place)  # pyright: ignore[reportArgumentType, reportCallIssue]  # a key of that container
        except Exception as error:  # whatever it is, it belongs to the response
            self.fail(located_error(error, nodes, path_of(place)), place)

    def fail(self, error: GraphQLError, place: "Place | None") -> None:
        """Note an error at a place, and make null the nearest place around it that may be.

        Nothing is noted where the response is null already.
        """
        while place is not None and not place[3]:
            place = place[0]
        path = tuple(path_of(place))
        if any(start in self._nulled for start in _starts(path)):
            return
        self._nulled.add(path)
        self.errors.append(error)
        if place is None:
            self.is_null = True
        else:
            place[2][place[1]] = None  # pyright: ignore[reportArgumentType, reportCallIssue]  # a key of that container


def _starts(path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    for length in range(len(path) + 1):
        yield path[:length]

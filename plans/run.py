"""One execution of a plan: its response as it grows, what is still awaited, and what has failed."""

# graphql-core leaves open what its lists and non-null types are of.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias

from graphql import FieldNode, GraphQLError, located_error
from graphql.execution.values import VariableValues

from plans.bounds import Bounds, ResponseTooLarge

Container: TypeAlias = "dict[str, Any] | list[Any]"

Place: TypeAlias = "tuple[Place | None, str | int, Container, bool]"
"""A position of the response: the place around it, its key there, what holds it, whether it may be null."""

Complete: TypeAlias = "Callable[[Run, Any, Place], Any]"
"""Turns what a resolver returned into the response's value, or raises."""


_Waiting: TypeAlias = "tuple[Awaitable[Any], Complete, list[FieldNode], Place]"

# The tasks of a wave that begin in one turn of the event loop: their loaders' batches are as large.
_BEGUN_AT_A_TIME = 200
# What takes longer than a field counts as several: a task of its own, and an exception with its traceback.
_WORK_OF_AWAITING = 10
_WORK_OF_AN_ERROR = 40


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

    A long list is completed in parts, with turns of the event loop between them.
    """

    __slots__ = (
        "_bounds",
        "_nulled",
        "_postponed",
        "_waiting",
        "context",
        "errors",
        "is_null",
        "omitted_errors",
        "pauses_at",
        "root_value",
        "size",
        "variables",
        "work",
    )

    def __init__(self, context: Any, root_value: Any, variables: VariableValues, bounds: Bounds) -> None:
        self._bounds = bounds
        self.work = 0
        """The fields completed so far, plus what awaited values and errors count as."""
        self.pauses_at: float = bounds.fields_at_a_time
        """The amount of work after which a list is to postpone its remaining items."""
        self.size = 0
        """The approximate size of the response so far, in bytes; JSON's escapes are not included."""
        self.omitted_errors = 0
        """How many errors there are beyond those in `errors`."""
        self.context = context
        self.root_value = root_value
        self.variables = variables
        self.errors: list[GraphQLError] = []
        self.is_null = False
        """Whether an error has made the whole response null."""
        self._nulled: set[tuple[str | int, ...]] = set()
        self._waiting: list[_Waiting] = []
        self._postponed: list[tuple[Callable[[], None], Place]] = []

    def wait_for(
        self, value: Awaitable[Any], complete: Complete, nodes: list[FieldNode], place: Place
    ) -> None:
        """Have the value awaited, completed, and put in its place."""
        self.work += _WORK_OF_AWAITING
        self._waiting.append((value, complete, nodes, place))

    def postpone(self, complete_rest: Callable[[], None], place: Place) -> None:
        """Complete the rest of the list at that place later, after a turn of the event loop."""
        self._postponed.append((complete_rest, place))

    def count_text(self, text: str) -> None:
        """Add a string of the response to its size."""
        self.size += len(text) if text.isascii() else size_of_text(text)

    async def pause(self) -> None:
        """Give the event loop a turn.

        Raises:
            ResponseTooLarge: the response is over its limit.
        """
        self.check_size()
        await self._bounds.next_turn()
        self.pauses_at = self.work + self._bounds.fields_at_a_time

    def check_size(self) -> None:
        """Accept the size that the response has so far.

        Raises:
            ResponseTooLarge: it is over its limit.
        """
        if self.size > self._bounds.max_bytes:
            raise ResponseTooLarge

    async def settle(self) -> None:
        """Await all that is waiting, and what comes of it, until nothing is left.

        Raises:
            ResponseTooLarge: the response is over its limit; what is left is given up.
        """
        try:
            while self._waiting or self._postponed:
                # Lists first, so that what their items wait for is awaited in one wave.
                if self._postponed:
                    await self._complete_postponed()
                    continue
                self.check_size()
                wave, self._waiting = self._waiting, []
                if len(wave) == 1:
                    await self._settle(*wave[0])
                else:
                    await self._settle_wave(deque(wave))
        finally:
            # Left over only when we are cancelled, or when the response is too large.
            self.give_up()

    async def _settle_wave(self, wave: deque[_Waiting]) -> None:
        """Await all of it side by side; a long wave begins in parts, with turns of the event loop between."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while wave:
                    for _ in range(min(len(wave), _BEGUN_AT_A_TIME)):
                        tasks.create_task(self._settle(*wave.popleft()))
                    if wave:
                        await self._bounds.next_turn()
        finally:
            _give_up(wave)

    async def _complete_postponed(self) -> None:
        """Complete the postponed lists, inner ones before those around them."""
        queue = deque(self._take_postponed())
        while queue:
            await self.pause()
            complete_rest, place = queue.popleft()
            try:
                complete_rest()
            except Exception as error:  # whatever it is, it belongs to the response
                self.fail(partial(located_error, error, None, path_of(place)), place)
            queue.extendleft(reversed(self._take_postponed()))

    def _take_postponed(self) -> list[tuple[Callable[[], None], Place]]:
        taken, self._postponed = self._postponed, []
        return taken

    @property
    def is_waiting(self) -> bool:
        """Whether something has to be awaited."""
        return bool(self._waiting or self._postponed)

    def give_up(self) -> None:
        """Await nothing of what is waiting."""
        _give_up(self._waiting)

    async def _settle(
        self, value: Awaitable[Any], complete: Complete, nodes: list[FieldNode], place: Place
    ) -> None:
        _, key, container, _ = place
        try:
            container[key] = complete(self, await value, place)  # pyright: ignore[reportArgumentType, reportCallIssue]  # a key of that container
        except Exception as error:  # whatever it is, it belongs to the response
            self.fail(partial(located_error, error, nodes, path_of(place)), place)

    def fail(self, error: Callable[[], GraphQLError], place: "Place | None") -> None:
        """Note an error at a place, and make null the nearest place around it that may be.

        Nothing is noted where the response is null already. Beyond the most errors that a response lists
        they are only counted, and `error` is not called.
        """
        self.work += _WORK_OF_AN_ERROR
        while place is not None and not place[3]:
            place = place[0]
        path = tuple(path_of(place))
        if any(start in self._nulled for start in _starts(path)):
            return
        self._nulled.add(path)
        if len(self.errors) < self._bounds.max_errors:
            self.errors.append(error())
        else:
            self.omitted_errors += 1
        if place is None:
            self.is_null = True
        else:
            place[2][place[1]] = None  # pyright: ignore[reportArgumentType, reportCallIssue]  # a key of that container


def size_of_text(text: str) -> int:
    """Return how many bytes a string takes up in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def _give_up(waiting: Iterable[_Waiting]) -> None:
    for value, *_ in waiting:
        if isinstance(value, asyncio.Future):
            value.cancel()
        elif asyncio.iscoroutine(value):
            value.close()


def _starts(path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    for length in range(len(path) + 1):
        yield path[:length]

"""The state of one execution of a plan: the partial response, pending values, and errors."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias

from graphql import FieldNode, GraphQLError, located_error
from graphql.execution.values import VariableValues

from plans.bounds import Bounds, ChargeBytes, ResponseTooLarge

Container: TypeAlias = "dict[str, Any] | list[Any]"

Place: TypeAlias = "tuple[Place | None, str | int, Container, bool]"
"""A position in the response: its parent, its key, the container that holds it, whether it is nullable."""

Complete: TypeAlias = "Callable[[Run, Any, Place], Any]"
"""Converts a resolver's result to the value in the response, or raises."""


_Waiting: TypeAlias = "tuple[Awaitable[Any], Complete, list[FieldNode], Place]"

MAX_UNCOUNTED_CHARS = 64
"""Shorter strings are not counted in the size of a response, which has a limited number of them."""

# The number of tasks started in one turn of the event loop, which is also the largest batch of a loader.
_TASKS_PER_TURN = 200
# A task, and an exception with its traceback, take longer than a field and count as several.
_WORK_OF_AWAITING = 10
_WORK_OF_AN_ERROR = 40

_BYTES_CHARGED_AT_ONCE = 64 * 1024


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

    Awaitables are awaited in waves: all that are pending at one time run concurrently, so that loaders can
    batch their loads.

    A long list is completed in parts, and the event loop gets a turn between them.
    """

    __slots__ = (
        "_bounds",
        "_charge_bytes",
        "_nulled",
        "_postponed",
        "_waiting",
        "charged_bytes",
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

    def __init__(
        self,
        context: Any,
        root_value: Any,
        variables: VariableValues,
        bounds: Bounds,
        charge_bytes: ChargeBytes | None = None,
    ) -> None:
        self._bounds = bounds
        self._charge_bytes = charge_bytes
        self.charged_bytes = 0
        """The part of `size` that has been charged."""
        self.work = 0
        """The number of fields completed so far, where awaited values and errors count as several."""
        self.pauses_at: float = bounds.fields_at_a_time
        """The amount of work at which a list postpones its remaining items."""
        self.size = 0
        """The approximate size of the response so far in bytes, without short strings and JSON's escapes."""
        self.omitted_errors = 0
        """The number of errors that are not in `errors`."""
        self.context = context
        self.root_value = root_value
        self.variables = variables
        self.errors: list[GraphQLError] = []
        self.is_null = False
        """Whether an error has propagated to the root, which makes the whole response null."""
        self._nulled: set[tuple[str | int, ...]] = set()
        self._waiting: list[_Waiting] = []
        self._postponed: list[tuple[Callable[[], None], Place]] = []

    def wait_for(
        self, value: Awaitable[Any], complete: Complete, nodes: list[FieldNode], place: Place
    ) -> None:
        """Schedule the value to be awaited, completed and stored at its place."""
        self.work += _WORK_OF_AWAITING
        self._waiting.append((value, complete, nodes, place))

    def postpone(self, complete_rest: Callable[[], None], place: Place) -> None:
        """Complete the rest of the list at this place after a turn of the event loop."""
        self._postponed.append((complete_rest, place))

    def count_text(self, text: str) -> None:
        """Add a long string of the response to its size."""
        self.size += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))

    async def pause(self) -> None:
        """Give the event loop a turn.

        Raises:
            ResponseTooLarge: the response exceeds its bounds.
        """
        self.check_size()
        await self._bounds.next_turn()
        self.pauses_at = self.work + self._bounds.fields_at_a_time

    def check_size(self) -> None:
        """Check the size of the response so far, and charge for it once it is large.

        Raises:
            ResponseTooLarge: the response exceeds its bounds.
        """
        if self.size > self._bounds.max_bytes:
            raise ResponseTooLarge
        if self._charge_bytes is not None and self.size - self.charged_bytes > _BYTES_CHARGED_AT_ONCE:
            self._charge_bytes(self.size - self.charged_bytes)
            self.charged_bytes = self.size

    async def settle(self) -> None:
        """Await all pending values, and those that they lead to, until none are left.

        Raises:
            ResponseTooLarge: the response exceeds its bounds. The values that are left are cancelled.
        """
        try:
            while self._waiting or self._postponed:
                # Lists first, so that the pending values of all their items are awaited in one wave.
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
            # Values are left only if the execution is cancelled or the response is too large.
            self.give_up()

    async def _settle_wave(self, wave: deque[_Waiting]) -> None:
        """Await the values concurrently, starting a limited number in each turn of the event loop."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while wave:
                    for _ in range(min(len(wave), _TASKS_PER_TURN)):
                        tasks.create_task(self._settle(*wave.popleft()))
                    if wave:
                        await self._bounds.next_turn()
        finally:
            _cancel(wave)

    async def _complete_postponed(self) -> None:
        """Complete the postponed lists, inner ones before the lists that contain them."""
        queue = deque(self._take_postponed())
        while queue:
            await self.pause()
            complete_rest, place = queue.popleft()
            try:
                complete_rest()
            except Exception as error:  # any exception becomes an error of the response
                self.fail(partial(located_error, error, None, path_of(place)), place)
            queue.extendleft(reversed(self._take_postponed()))

    def _take_postponed(self) -> list[tuple[Callable[[], None], Place]]:
        taken, self._postponed = self._postponed, []
        return taken

    @property
    def is_waiting(self) -> bool:
        """Whether values are pending."""
        return bool(self._waiting or self._postponed)

    def give_up(self) -> None:
        """Cancel all pending values."""
        _cancel(self._waiting)

    async def _settle(
        self, value: Awaitable[Any], complete: Complete, nodes: list[FieldNode], place: Place
    ) -> None:
        _, key, container, _ = place
        try:
            container[key] = complete(self, await value, place)  # pyright: ignore[reportArgumentType, reportCallIssue]  # a key of that container
        except Exception as error:  # any exception becomes an error of the response
            self.fail(partial(located_error, error, nodes, path_of(place)), place)

    def fail(self, error: Callable[[], GraphQLError], place: "Place | None") -> None:
        """Record an error at a place, and set the nearest nullable place that contains it to null.

        An error below a place that is already null is dropped. Once the response has `max_errors` errors,
        further ones are only counted, and `error` is not called.
        """
        self.work += _WORK_OF_AN_ERROR
        while place is not None and not place[3]:
            place = place[0]
        path = tuple(path_of(place))
        if any(prefix in self._nulled for prefix in _prefixes(path)):
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


def _cancel(waiting: Iterable[_Waiting]) -> None:
    for value, *_ in waiting:
        if isinstance(value, asyncio.Future):
            value.cancel()
        elif asyncio.iscoroutine(value):
            value.close()


def _prefixes(path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    for length in range(len(path) + 1):
        yield path[:length]

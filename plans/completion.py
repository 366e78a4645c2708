"""Completion of the values that resolvers return: https://spec.graphql.org/draft/#sec-Value-Completion."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias, cast

from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLObjectType,
    GraphQLOutputType,
    Undefined,
    default_type_resolver,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    located_error,
)
from graphql.pyutils import inspect, is_awaitable, is_iterable
from strawberry.types.cast import get_strawberry_type_cast

from plans.info import SelectedField
from plans.leaves import complete_leaf
from plans.resolvers import class_of, classes_of
from plans.run import Complete, Place, Run, path_of
from plans.unplannable import Unplannable

PlanObject: TypeAlias = Callable[[Run, Any, Place], "dict[str, Any]"]
"""Returns the response's object for a source object."""


class Completion:
    """Plans the completion of the values of one selected field."""

    def __init__(
        self, selected: SelectedField, plan_object: Callable[[GraphQLObjectType], PlanObject]
    ) -> None:
        """Plan objects with `plan_object`, called once per type when the type first occurs."""
        self._selected = selected
        self._plan_new_object = plan_object
        self._planned_objects: dict[str, PlanObject] = {}

    def of(self, kind: GraphQLOutputType) -> Complete:
        """Return the function that completes a value of this type."""
        if is_non_null_type(kind):
            return self.non_null(self.of(kind.of_type))
        if is_list_type(kind):
            return self._list(kind.of_type)
        if is_leaf_type(kind):
            return complete_leaf(kind)
        if is_object_type(kind):
            return self._object(kind)
        if is_abstract_type(kind):
            return self._abstract(kind)
        raise Unplannable(f"values of {kind}")

    def exact(self, kind: GraphQLOutputType, complete: Complete) -> tuple[type | None, Complete]:
        """Return the class whose instances need no checks, if there is one, and how to complete them.

        `complete` is the function that completes any value.
        """
        named = get_nullable_type(kind)
        found = class_of(named) if is_object_type(named) else None
        if found is None or hasattr(found, "__await__"):
            return None, complete
        return found, self._plan_object(cast(GraphQLObjectType, named))

    def _plan_object(self, kind: GraphQLObjectType) -> PlanObject:
        found = self._planned_objects.get(kind.name)
        if found is None:
            found = self._planned_objects[kind.name] = self._plan_new_object(kind)
        return found

    def non_null(self, complete: Complete) -> Complete:
        """Return the function that completes a value and raises if the result is null."""
        selected = self._selected

        def complete_non_null(run: Run, value: Any, place: Place) -> Any:
            completed = complete(run, value, place)
            if completed is None:
                raise TypeError(
                    f"Cannot return null for non-nullable field {selected.parent.name}.{selected.name}."
                )
            return completed

        return complete_non_null

    def _object(self, kind: GraphQLObjectType) -> Complete:
        plan_object = self._plan_object(kind)
        selected, is_type_of, exact_class = self._selected, kind.is_type_of, class_of(kind)

        def complete_object(run: Run, value: Any, place: Place) -> Any:
            if type(value) is exact_class:
                return plan_object(run, value, place)
            if value is None or value is Undefined:
                return None
            if isinstance(value, Exception):
                raise value
            if is_type_of is not None and not is_type_of(value, selected.info(run, place)):
                raise GraphQLError(
                    f"Expected value of type '{kind}' but got: {inspect(value)}.", selected.nodes
                )
            return plan_object(run, value, place)

        return complete_object

    def _abstract(self, kind: GraphQLAbstractType) -> Complete:
        selected, resolve_type = self._selected, kind.resolve_type or default_type_resolver
        classes = classes_of(selected.schema, kind)
        planned: dict[str, Complete] = {}

        def complete_abstract(run: Run, value: Any, place: Place) -> Any:
            name = classes.get(type(value))
            if name is None or get_strawberry_type_cast(value) is not None:
                if value is None or value is Undefined:
                    return None
                if isinstance(value, Exception):
                    raise value
                name = resolve_type(value, selected.info(run, place), kind)
            if name not in planned:
                planned[cast(str, name)] = self._object(self._runtime_type(kind, name))
            return planned[cast(str, name)](run, value, place)

        return complete_abstract

    def _runtime_type(self, kind: GraphQLAbstractType, name: object) -> GraphQLObjectType:
        found = self._selected.schema.get_type(name) if isinstance(name, str) else None
        if not is_object_type(found) or not self._selected.schema.is_sub_type(kind, found):
            raise GraphQLError(
                f"Abstract type '{kind}' must resolve to one of its object types at runtime for field"
                f" '{self._selected.parent.name}.{self._selected.name}', not to {inspect(name)}.",
                self._selected.nodes,
            )
        return found

    def _list(self, item_type: GraphQLOutputType) -> Complete:
        return _ListCompletion(self._selected, item_type, self).complete


class _ListCompletion:
    """The completion of a list's items.

    It is no closure, because one that refers to itself would leave its plan to the garbage collector.
    """

    __slots__ = ("_complete_exact", "_complete_item", "_exact_class", "_nullable", "_selected")

    def __init__(self, selected: SelectedField, item_type: GraphQLOutputType, items: Completion) -> None:
        self._selected = selected
        self._nullable = not is_non_null_type(item_type)
        self._complete_item = items.of(item_type)
        self._exact_class, self._complete_exact = items.exact(item_type, self._complete_item)

    def complete(self, run: Run, value: Any, place: Place) -> Any:
        """Complete a list."""
        response: list[Any] = []
        if type(value) is list:
            self._complete_items(run, iter(cast("list[Any]", value)), response, place)
            return response
        if value is None or value is Undefined:
            return None
        if isinstance(value, Exception):
            raise value
        if isinstance(value, AsyncIterable):
            items = cast("AsyncIterable[Any]", value)
            run.wait_for(_collected(items), self.complete, self._selected.nodes, place)
            return response
        if not is_iterable(value):
            raise GraphQLError(
                "Expected Iterable, but did not find one for field"
                f" '{self._selected.parent.name}.{self._selected.name}'."
            )
        self._complete_items(run, iter(cast("Iterable[Any]", value)), response, place)
        return response

    def _complete_items(self, run: Run, items: Iterator[Any], response: list[Any], place: Place) -> None:
        complete, nodes, nullable = self._complete_item, self._selected.nodes, self._nullable
        exact_class, complete_exact = self._exact_class, self._complete_exact
        for item in items:
            item_place = (place, len(response), response, nullable)
            response.append(None)
            try:
                if type(item) is exact_class:
                    response[-1] = complete_exact(run, item, item_place)
                elif is_awaitable(item):
                    run.wait_for(item, complete, nodes, item_place)
                else:
                    response[-1] = complete(run, item, item_place)
            except Exception as error:
                locate = partial(located_error, error, nodes, path_of(item_place))
                if not nullable:
                    raise locate() from error
                run.fail(locate, item_place)
            if run.work >= run.pauses_at:
                run.postpone(partial(self._complete_items, run, items, response, place), place)
                return


async def _collected(items: AsyncIterable[Any]) -> list[Any]:
    return [item async for item in items]

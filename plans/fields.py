"""Selected fields, and functions that resolve and complete one of them.

https://spec.graphql.org/draft/#sec-Executing-Fields
"""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import CoroutineType
from typing import Any, TypeAlias

from graphql import (
    GraphQLObjectType,
    TypeNameMetaFieldDef,
    is_non_null_type,
    located_error,
)
from graphql.pyutils import is_awaitable

from plans.completion import Completion, PlanObject
from plans.info import SelectedField
from plans.leaves import unchanged_class
from plans.resolvers import Resolve, attribute_of, plan_resolver
from plans.run import MAX_UNCOUNTED_CHARS, Place, Run, path_of

ResolveField: TypeAlias = Callable[[Run, Any, "dict[str, Any]", "Place | None"], None]
"""Stores a field of a source in the response's object; raises if a non-nullable field fails."""

_NOTHING_TO_AWAIT = (str, int, float, type(None), list, dict)


@dataclass(frozen=True, slots=True)
class PlannedField:
    """A selected field with the function that resolves it.

    `field` has its parts, for other functions that resolve it; None for `__typename`.
    """

    selected: SelectedField
    resolve: ResolveField
    field: "Field | None"


def plan_field(
    selected: SelectedField, plan_object: Callable[[GraphQLObjectType], PlanObject]
) -> PlannedField:
    """Plan a field. `plan_object` plans the objects that it resolves to, once per type.

    Raises:
        Unplannable: plans do not support the field.
    """
    if selected.definition is TypeNameMetaFieldDef:
        return PlannedField(selected, _type_name(selected.key, selected.parent.name), None)
    field = Field(selected, Completion(selected, plan_object))
    name, unchanged = field.attribute, unchanged_class(selected.definition.type)
    if name is None or unchanged is None:
        resolve = _by_resolver(field)
    else:
        resolve = _text(field, name) if unchanged is str else _unchanged_attribute(field, name, unchanged)
    return PlannedField(selected, resolve, field)


def is_pending(value: object) -> bool:
    """Return whether a value has to be awaited."""
    # The most common case first.
    if type(value) is CoroutineType:
        return True
    return not isinstance(value, _NOTHING_TO_AWAIT) and is_awaitable(value)


class Field:
    """The parts of a selected field: how to resolve it, complete its values, and record that it failed."""

    __slots__ = (
        "attribute",
        "complete",
        "complete_exact",
        "complete_nullable",
        "exact_class",
        "key",
        "nodes",
        "nullable",
        "resolve",
    )

    def __init__(self, selected: SelectedField, completion: Completion) -> None:
        """Plan the parts.

        Raises:
            Unplannable: plans do not support the field.
        """
        kind = selected.definition.type
        self.key = selected.key
        self.nullable = not is_non_null_type(kind)
        self.nodes = selected.nodes
        self.attribute = attribute_of(selected)
        """The attribute of its source that the field reads; None if it has a resolver."""
        self.resolve: Resolve = plan_resolver(selected)
        self.complete_nullable = completion.of(kind.of_type if is_non_null_type(kind) else kind)
        """Completes a value without checking that the result is not null."""
        self.complete = (
            self.complete_nullable if self.nullable else completion.non_null(self.complete_nullable)
        )
        self.exact_class, self.complete_exact = completion.exact(kind, self.complete)

    def put(self, run: Run, value: Any, response: dict[str, Any], place: Place) -> None:
        """Complete and store what the field resolved to."""
        if is_pending(value):
            # Reserves the key now: the fields of a response are in the order of their selection.
            response[self.key] = None
            run.wait_for(value, self.complete, self.nodes, place)
        else:
            response[self.key] = self.complete(run, value, place)

    def fail(self, run: Run, error: Exception, place: Place) -> None:
        """Record an error of the field, or raise it if the field is not nullable."""
        locate = partial(located_error, error, self.nodes, path_of(place))
        if not self.nullable:
            raise locate() from error
        run.fail(locate, place)


def object_of(fields: Sequence[PlannedField], size: int) -> PlanObject:
    """Return the function that completes an object with these fields, one after another.

    `size` is the approximate size of the object in bytes, without the strings in its fields.
    """
    count, resolves = len(fields), [each.resolve for each in fields]

    def complete_object(run: Run, source: Any, place: Place) -> dict[str, Any]:
        run.work += count
        run.size += size
        response: dict[str, Any] = {}
        for resolve in resolves:
            resolve(run, source, response, place)
        return response

    return complete_object


def _type_name(key: str, name: str) -> ResolveField:
    def resolve(_run: Run, _source: Any, response: dict[str, Any], _parent: "Place | None") -> None:
        response[key] = name

    return resolve


def _by_resolver(field: Field) -> ResolveField:
    """Resolve the field by calling its resolver."""
    key, nullable, put, fail = field.key, field.nullable, field.put, field.fail
    resolve, exact_class, complete_exact = field.resolve, field.exact_class, field.complete_exact

    def resolve_field(run: Run, source: Any, response: dict[str, Any], parent: "Place | None") -> None:
        place = (parent, key, response, nullable)
        try:
            value = resolve(run, source, place)
            if type(value) is exact_class:
                response[key] = complete_exact(run, value, place)
            else:
                put(run, value, response, place)
        except Exception as error:
            fail(run, error, place)

    return resolve_field


def _text(field: Field, name: str) -> ResolveField:
    """Resolve the field to an attribute of its source that is a string."""
    key, nullable, put, fail = field.key, field.nullable, field.put, field.fail

    def resolve_text(run: Run, source: Any, response: dict[str, Any], parent: "Place | None") -> None:
        try:
            value = getattr(source, name)
            if type(value) is str:
                response[key] = value
                if len(value) > MAX_UNCOUNTED_CHARS:
                    run.count_text(value)
            elif value is None and nullable:
                response[key] = None
            else:
                put(run, value, response, (parent, key, response, nullable))
        except Exception as error:
            fail(run, error, (parent, key, response, nullable))

    return resolve_text


def _unchanged_attribute(field: Field, name: str, unchanged: type) -> ResolveField:
    """Resolve the field to an attribute of its source, unchanged if it is of this class."""
    key, nullable, put, fail = field.key, field.nullable, field.put, field.fail

    def resolve_attribute(run: Run, source: Any, response: dict[str, Any], parent: "Place | None") -> None:
        try:
            value = getattr(source, name)
            if type(value) is unchanged or (value is None and nullable):
                response[key] = value
            else:
                put(run, value, response, (parent, key, response, nullable))
        except Exception as error:
            fail(run, error, (parent, key, response, nullable))

    return resolve_attribute

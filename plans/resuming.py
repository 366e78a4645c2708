"""Completes objects that generated source cannot: field by field, from where it has stopped."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from plans.fields import Field, PlannedField, is_pending
from plans.run import Place, Run

NOT_READ = object()
"""The value of a field that has not been completed."""

Resume: TypeAlias = "Callable[[Run, Any, Place, tuple[Any, ...], Exception], dict[str, Any]]"
"""Returns the response's object for a source whose first fields have these values.

The field after them has failed with the error, or its value has to be awaited. No field that has a value is
resolved again.
"""

CompleteLeaf: TypeAlias = "Callable[[Run, Any, Place], Any]"
"""Completes a value of an unexpected class; raises if that fails."""


class _ValuePending(Exception):
    """The value of a leaf has to be awaited."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def complete_leaf_of(field: Field) -> CompleteLeaf:
    """Return the function that completes what the field, which is a leaf, resolved to."""
    complete = field.complete

    def complete_leaf(run: Run, value: Any, place: Place) -> Any:
        if is_pending(value):
            raise _ValuePending(value)
        return complete(run, value, place)

    return complete_leaf


def resume_with(fields: Sequence[PlannedField]) -> Resume:
    """Return the function that completes an object with these fields."""

    def resume(
        run: Run, source: Any, place: Place, values: tuple[Any, ...], error: Exception
    ) -> dict[str, Any]:
        response: dict[str, Any] = {}
        completed = iter(values)
        remaining = iter(fields)
        for planned in remaining:
            field = planned.field
            if field is None:
                planned.resolve(run, source, response, place)
                continue
            value = next(completed)
            if value is NOT_READ:
                field_place = (place, field.key, response, field.nullable)
                if isinstance(error, _ValuePending):
                    field.put(run, error.value, response, field_place)
                else:
                    field.fail(run, error, field_place)
                break
            response[field.key] = value
        for planned in remaining:
            planned.resolve(run, source, response, place)
        return response

    return resume

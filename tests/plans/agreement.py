"""When two responses are equivalent.

If several non-null fields fail, one error is enough, and which one is reported may depend on which coroutine
finishes first: https://spec.graphql.org/draft/#sec-Handling-Execution-Errors
"""

from typing import Any, cast

from graphql import ExecutionResult, GraphQLError


def assert_same(ours: ExecutionResult, reference: ExecutionResult, *, in_order: bool) -> None:
    """Compare two responses; use `in_order` if nothing depends on which coroutine finishes first.

    If the whole response is null, the errors of fields that are executed after that may be left out.
    """
    assert ours.data == reference.data
    assert list(_keys(ours.data)) == list(_keys(reference.data))
    if in_order and ours.data is not None:
        assert _formatted(ours) == _formatted(reference)
        return
    assert _nulled(ours) == _nulled(reference)


def _formatted(result: ExecutionResult) -> list[Any]:
    return [error.formatted for error in result.errors or ()]


def _keys(value: Any) -> Any:
    """Yield the names of all fields in the order of the response."""
    if isinstance(value, dict):
        for key, each in cast("dict[str, Any]", value).items():
            yield key
            yield from _keys(each)
    elif isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from _keys(each)


def _nulled(result: ExecutionResult) -> set[tuple[str | int, ...]]:
    """Return the paths that errors have made null, except for those inside of others."""
    places = {_null_on_the_way(result.data, error) for error in result.errors or ()}
    return {
        place
        for place in places
        if not any(place[: len(other)] == other for other in places if other != place)
    }


def _null_on_the_way(data: Any, error: GraphQLError) -> tuple[str | int, ...]:
    place: tuple[str | int, ...] = ()
    for key in error.path or ():
        if data is None:
            return place
        data = data[key]
        place = (*place, key)
    assert data is None, f"{error} has left {place} as it was"
    return place

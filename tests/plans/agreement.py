"""When two responses say the same.

Where several fields fail that may not be null, one error is enough, and which of them it is may depend on
which coroutine comes first: https://spec.graphql.org/draft/#sec-Handling-Execution-Errors
"""

from typing import Any, cast

from graphql import ExecutionResult, GraphQLError


def assert_same(ours: ExecutionResult, reference: ExecutionResult, *, in_order: bool) -> None:
    """Compare two responses; `in_order` where nothing depends on which coroutine comes first."""
    assert ours.data == reference.data
    assert list(_keys(ours.data)) == list(_keys(reference.data))
    if in_order:
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
    """Return the places that errors have made null, without those inside of others."""
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

"""Error messages for invalid settings: the name, what is allowed, and the value unless it is secret."""

from enum import Enum
from typing import Any, get_args

from pydantic import SecretStr
from pydantic_core import ErrorDetails

from server.config.quoting import quoted
from server.config.settings import PREFIX, Settings

# If the value is not a URL, a password in it cannot be recognised.
_URLS_WITH_PASSWORDS = {"database_url", "broadcast_url"}


def complaint_about(error: ErrorDetails) -> str:
    """Return one line for an error of pydantic.

    The messages of our own validators continue the name: `must be …`, or `contains …` with the invalid part.
    """
    if not error["loc"]:
        # An error about several settings: its type is the name of one of them.
        return f"{PREFIX}{error['type'].upper()} {error['msg']}"
    field = str(error["loc"][0])
    is_ours = error["type"] == "value_error"
    predicate = error["msg"].removeprefix("Value error, ") if is_ours else f"must be {_allowed(field)}"
    shows_value = predicate.startswith("must be ") and not _is_secret(field)
    return f"{PREFIX}{field.upper()} {predicate}" + f", not {quoted(error['input'])}" * shows_value


def _allowed(field: str) -> str:
    kinds = _kinds_of(field)
    if bool in kinds:
        return "on or off"
    if int in kinds:
        return f"a whole number {_range(field)}"
    if float in kinds:
        return f"a number {_range(field)}"
    choices = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum))
    *others, last = [str(choice.value) for choice in choices]
    return f"{', '.join(others)} or {last}"


def _range(field: str) -> str:
    """Return the bounds of a number as text, such as `from 0 to 60`."""
    bounds = {
        name: getattr(bound, name)
        for bound in Settings.model_fields[field].metadata
        for name in ("ge", "gt", "le")
        if hasattr(bound, name)
    }
    match bounds:
        case {"ge": least, "le": most}:
            return f"from {least} to {most}"
        case {"gt": below, "le": most}:
            return f"greater than {below} and at most {most}"
        case {"gt": below}:
            return f"greater than {below}"
        case _:
            return f"of at least {bounds['ge']}"


def _is_secret(field: str) -> bool:
    return field in _URLS_WITH_PASSWORDS or SecretStr in _kinds_of(field)


def _kinds_of(field: str) -> set[Any]:
    annotation = Settings.model_fields[field].annotation
    return {annotation, *get_args(annotation)}

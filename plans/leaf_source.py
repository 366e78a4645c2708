"""Source that completes a scalar or an enum value in the place where it is read."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from uuid import UUID

from graphql import GRAPHQL_MAX_INT, GRAPHQL_MIN_INT, GraphQLLeafType

from plans.leaves import check_coerced, specified_name
from plans.names import Names
from plans.run import MAX_UNCOUNTED_CHARS

# Classes whose instances are neither awaitable, null nor errors.
_PLAIN = frozenset(
    {
        *(str, bytes, bool, int, float, Decimal, UUID, datetime, date, time, timedelta),
        *(list, tuple, dict, set, frozenset),
    }
)


@dataclass(frozen=True, slots=True)
class LeafSource:
    """How the local variable `value` is completed.

    If it meets `condition`, the statements compute the expression `result`.
    """

    condition: str
    statements: tuple[str, ...]
    result: str


def leaf_source(kind: GraphQLLeafType, names: Names) -> LeafSource:
    """Return the source for values of this type; `names` gets what the source refers to."""
    match specified_name(kind):
        case "String" | "ID":
            count = f"if len(value) > {MAX_UNCOUNTED_CHARS}: run.count_text(value)"
            return LeafSource("type(value) is str", (count,), "value")
        case "Boolean":
            return LeafSource("type(value) is bool", (), "value")
        case "Int":
            condition = f"type(value) is int and {GRAPHQL_MIN_INT} <= value <= {GRAPHQL_MAX_INT}"
            return LeafSource(condition, (), "value")
        case "Float":
            is_finite = names.constant("isfinite", isfinite)
            return LeafSource(f"type(value) is float and {is_finite}(value)", (), "value")
        case _:
            return _coerced(kind, names)


def _coerced(kind: GraphQLLeafType, names: Names) -> LeafSource:
    coerce = names.constant(f"coerce_{kind.name}", kind.coerce_output_value)
    check = names.constant(f"check_{kind.name}", check_coerced(kind))
    # Strawberry's enums.
    member_class = getattr(kind, "wrapped_cls", None)
    if isinstance(member_class, type) and not hasattr(member_class, "__await__"):
        condition = f"type(value) is {names.constant(member_class.__name__, member_class)}"
    else:
        condition = f"type(value) in {names.constant('PLAIN', _PLAIN)}"
    is_short_text = f"type(coerced) is str and len(coerced) <= {MAX_UNCOUNTED_CHARS}"
    statements = (
        f"coerced = {coerce}(value)",
        f"if not ({is_short_text}): {check}(run, value, coerced)",
    )
    return LeafSource(condition, statements, "coerced")

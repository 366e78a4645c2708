"""The functions that are generated for one shape of an operation, and their limit."""

from collections.abc import Sequence

from graphql import GraphQLObjectType

from plans.completion import PlanObject
from plans.fields import PlannedField
from plans.object_source import generate_object

MAX_GENERATED_FIELDS = 300
"""The default number of fields of an operation for which source is generated."""


class Generation:
    """Generates functions up to a total number of fields."""

    def __init__(self, max_fields: int) -> None:
        self._remaining = max_fields
        # Without the functions, which refer to fields that may plan further ones, and so to this object.
        self.sources: list[str] = []
        """The source of each function, inner ones first."""

    def object(self, kind: GraphQLObjectType, fields: Sequence[PlannedField], size: int) -> PlanObject | None:
        """Return the function that completes an object with these fields; None if over the limit.

        `kind` is the type of the object, and `size` its approximate size in bytes without the strings in its
        fields.
        """
        if len(fields) > self._remaining:
            return None
        self._remaining -= len(fields)
        generated = generate_object(kind, fields, size)
        self.sources.append(generated.source)
        return generated.function

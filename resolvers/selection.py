"""The fields that an operation selects, which resolvers use to optimise their reads."""

from collections.abc import Mapping, Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """How often an operation selects fields with each name, at any level; empty if unknown."""

    counts: Mapping[str, int]

    def __contains__(self, field: str) -> bool:
        """Return whether a field with this name is selected at any level."""
        return field in self.counts

    def is_only(self, field: str, shown: Set[str]) -> bool:
        """Return whether the operation selects only this field, once, and below it only fields in `shown`."""
        return self.counts.get(field) == 1 and self.counts.keys() - shown == {field}


UNKNOWN = Selection({})

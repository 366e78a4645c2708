"""What an operation selects, as far as a resolver may read less, or more at once, because of it."""

from collections.abc import Mapping, Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """How often an operation selects fields of each name, anywhere; empty if that is not known."""

    counts: Mapping[str, int]

    def __contains__(self, field: str) -> bool:
        """Say whether a field of that name is selected anywhere."""
        return field in self.counts

    def is_only(self, field: str, shown: Set[str]) -> bool:
        """Say whether all that is selected is this field, once, and below it fields named in `shown`."""
        return self.counts.get(field) == 1 and self.counts.keys() - shown == {field}


UNKNOWN = Selection({})

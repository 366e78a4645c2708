"""Pages of a list whose items are numbered 1, 2, 3, ..."""

from dataclasses import dataclass

_MAX_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class AskedPage:
    """A page as it is asked for: the first `size` items between two others, or the last if `is_from_end`."""

    size: int
    is_from_end: bool
    after: int = 0
    before: int = _MAX_NUMBER

    def of(self, length: int) -> "NumberedPage":
        """Return the page in a list of this length."""
        low = min(self.after, length) + 1
        high = min(self.before - 1, length)
        start = max(low, high - self.size + 1) if self.is_from_end else low
        end = high if self.is_from_end else min(high, low + self.size - 1)
        return NumberedPage(start, max(end, start - 1), length)

    @staticmethod
    def sql_of(length: str) -> str:
        """Return the same as SQL: the columns `first` and `last` of the page in a list of this length.

        `:size`, `:is_from_end`, `:after` and `:before` are parameters of the statement.
        """
        low = f"(least(CAST(:after AS bigint), {length}) + 1)"
        high = f"least(CAST(:before AS bigint) - 1, {length})"
        size = "CAST(:size AS bigint)"
        is_from_end = "CAST(:is_from_end AS boolean)"
        return f"""
            CASE WHEN {is_from_end} THEN greatest({low}, {high} - {size} + 1) ELSE {low} END AS first,
            CASE WHEN {is_from_end} THEN {high} ELSE least({high}, {low} + {size} - 1) END AS last
        """


@dataclass(frozen=True, slots=True)
class NumberedPage:
    """The items `start` to `end`, both included, of a list numbered 1 to `length`; empty if end < start."""

    start: int
    end: int
    length: int

    @property
    def has_previous(self) -> bool:
        """Whether the list has items before this page."""
        return self.start > 1 and self.length > 0

    @property
    def has_next(self) -> bool:
        """Whether the list has items after this page."""
        return self.end < self.length

"""Pages of a list, as Relay's connections ask for them.

https://relay.dev/graphql/connections.htm
"""

from dataclasses import dataclass

from resolvers.errors import BadUserInput

DEFAULT_PAGE_SIZE = 25
MAX_PAGE_SIZE = 100


def check_page_size(size: int, argument: str, most: int = MAX_PAGE_SIZE) -> int:
    """Return the size.

    Raises:
        BadUserInput: it is not 1 to `most`.
    """
    if not 1 <= size <= most:
        raise BadUserInput(f"`{argument}` must be 1 to {most}, not {size}.")
    return size


@dataclass(frozen=True, slots=True)
class NumberedPage:
    """The part `start` to `end`, both included, of a list numbered 1 to `length`; empty if end < start.

    It is the first `size` or, from the end, the last `size` of what lies between `after` and `before`.
    """

    start: int
    end: int
    length: int
    after: int
    before: int
    size: int
    is_from_end: bool

    @property
    def has_previous(self) -> bool:
        """Whether the list has something before this page."""
        return self.start > 1 and self.length > 0

    @property
    def has_next(self) -> bool:
        """Whether the list has something after this page."""
        return self.end < self.length


def numbered_page(
    length: int, *, first: int | None, after: int | None, last: int | None, before: int | None
) -> NumberedPage:
    """Return the page of a list numbered 1 to `length` that the arguments ask for.

    `first` goes with `after` from there on, `last` with `before` from there back. With neither size: 25, from
    the start where `after` is given and from the end otherwise.

    Raises:
        BadUserInput: `first` and `last` together, or out of range.
    """
    if first is not None and last is not None:
        raise BadUserInput("Give `first` or `last`, not both.")
    size = DEFAULT_PAGE_SIZE
    if first is not None:
        size = check_page_size(first, "first")
    if last is not None:
        size = check_page_size(last, "last")
    is_from_end = last is not None or (first is None and after is None)
    low = 1 if after is None else min(after, length) + 1
    high = length if before is None else min(before - 1, length)
    start = max(low, high - size + 1) if is_from_end else low
    end = high if is_from_end else min(high, low + size - 1)
    return NumberedPage(start, max(end, start - 1), length, low - 1, high + 1, size, is_from_end)

"""Pages of a list, by the arguments of Relay's connections: https://relay.dev/graphql/connections.htm."""

from dataclasses import dataclass

from resolvers.errors import BadUserInput

DEFAULT_PAGE_SIZE = 25
MAX_PAGE_SIZE = 100


def check_page_size(size: int, argument: str, most: int = MAX_PAGE_SIZE) -> int:
    """Return the size if it is from 1 to `most`.

    Raises:
        BadUserInput: the size is out of range; the message names the argument.
    """
    if not 1 <= size <= most:
        raise BadUserInput(f"`{argument}` must be 1 to {most}, not {size}.")
    return size


@dataclass(frozen=True, slots=True)
class NumberedPage:
    """The items `start` to `end`, both included, of a list numbered 1 to `length`; empty if end < start.

    They are the first `size` items between `after` and `before`, or the last ones if `is_from_end`.
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
        """Whether the list has items before this page."""
        return self.start > 1 and self.length > 0

    @property
    def has_next(self) -> bool:
        """Whether the list has items after this page."""
        return self.end < self.length


def numbered_page(
    length: int, *, first: int | None, after: int | None, last: int | None, before: int | None
) -> NumberedPage:
    """Return the page that the arguments select in a list numbered 1 to `length`.

    `first` pages forward from `after`, and `last` pages backward from `before`. Without a size, the page has
    25 items: the first ones if `after` is given, otherwise the last ones.

    Raises:
        BadUserInput: `first` and `last` are both given, or out of range.
    """
    if first is not None and last is not None:
        raise BadUserInput("Pass either `first` or `last`, not both.")
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

"""Pages of a list, by the arguments of Relay's connections: https://relay.dev/graphql/connections.htm."""

from dataclasses import replace

from db.asked_pages import AskedPage
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


def asked_page(*, first: int | None, after: int | None, last: int | None, before: int | None) -> AskedPage:
    """Return the page that the arguments select in a list whose items are numbered.

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
    page = AskedPage(size, is_from_end=last is not None or (first is None and after is None))
    if after is not None:
        page = replace(page, after=after)
    return page if before is None else replace(page, before=before)

"""Pages of messages, and requests for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from db.records import Message


@dataclass(frozen=True, slots=True)
class AskedPage:
    """The page that a client requests: the first or the last `size` messages between two others.

    `after` and `before` are the numbers of those two, which are not on the page.
    """

    size: int
    is_from_end: bool
    after: int = 0
    before: int = 2**63 - 1

    def of(
        self, messages: Sequence[Message], first_of_all: int | None, last_of_all: int | None
    ) -> "MessagePage":
        """Return the page with these messages, in a conversation that begins and ends with these numbers."""
        if messages:
            first, last = messages[0].seq, messages[-1].seq
        elif self.is_from_end:
            # An empty page is at the end from which it would be filled.
            first, last = self.before, self.before - 1
        else:
            first, last = self.after + 1, self.after
        has_previous = first_of_all is not None and first_of_all < first
        return MessagePage(messages, has_previous, last_of_all is not None and last_of_all > last)


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages, oldest first, and whether there are more before and after them."""

    messages: Sequence[Message]
    has_previous: bool
    has_next: bool

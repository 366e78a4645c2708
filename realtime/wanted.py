"""The entries that a reader of an inbox asks for."""

from dataclasses import dataclass
from uuid import UUID

from db.entries import CAUGHT_UP, InboxEntry
from db.inbox_log import PageAsked


@dataclass(frozen=True, slots=True)
class Wanted:
    """The kinds that a viewer asks for, and whether these include the viewer's own actions."""

    viewer_id: UUID
    kinds: frozenset[int]
    """If CAUGHT_UP is one of them, the viewer is told how far the inbox has been read."""
    include_mine: bool

    def has(self, entry: InboxEntry) -> bool:
        """Return whether the entry is asked for."""
        if entry.kind not in self.kinds:
            return False
        return self.include_mine or entry.kind == CAUGHT_UP or entry.actor_id != self.viewer_id

    def page_after(self, position: int | None, limit: int) -> PageAsked:
        """Return what to read for the page after this position, or for the empty one at the inbox's end."""
        return PageAsked(self.viewer_id, position, self.kinds, self.include_mine, limit)

"""The PageInfo of Relay's connections: https://relay.dev/graphql/connections.htm."""

from collections.abc import Sequence

import strawberry


@strawberry.type(
    description="How to fetch the pages before and after a page. Both `hasNextPage` and `hasPreviousPage` are"
    " accurate, regardless of the direction of paging."
)
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether the list has items after this page.")
    has_previous_page: bool = strawberry.field(description="Whether the list has items before this page.")
    start_cursor: str | None = strawberry.field(
        description="Cursor of the first edge, to pass as `before`; null if the page is empty."
    )
    end_cursor: str | None = strawberry.field(
        description="Cursor of the last edge, to pass as `after`; null if the page is empty."
    )

    @classmethod
    def of(cls, cursors: Sequence[str], *, has_previous: bool, has_next: bool) -> "PageInfo":
        """Return the PageInfo of the page whose edges have these cursors."""
        return cls(
            has_next_page=has_next,
            has_previous_page=has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        )

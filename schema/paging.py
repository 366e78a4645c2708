"""What Relay's connections share: https://relay.dev/graphql/connections.htm."""

from collections.abc import Sequence

import strawberry


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Relay's PageInfo, true in both directions whichever way was paged."""

    has_next_page: bool = strawberry.field(description="Whether the list goes on after this page.")
    has_previous_page: bool = strawberry.field(description="Whether the list has something before this page.")
    start_cursor: str | None = strawberry.field(
        description="The first edge's cursor, for `before`; null on an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="The last edge's cursor, for `after`; null on an empty page."
    )

    @classmethod
    def of(cls, cursors: Sequence[str], *, has_previous: bool, has_next: bool) -> "PageInfo":
        """Describe the page whose edges have these cursors."""
        return cls(
            has_next_page=has_next,
            has_previous_page=has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        )

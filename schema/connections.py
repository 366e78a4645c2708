"""What Relay's connections share: https://relay.dev/graphql/connections.htm."""

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

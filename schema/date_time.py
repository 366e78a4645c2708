"""Points in time, in one spelling."""

from datetime import UTC, datetime

import strawberry
from strawberry.types.scalar import ScalarDefinition


def format_date_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC with three fraction digits, e.g. 2026-11-24T12:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


DATE_TIME: ScalarDefinition = strawberry.scalar(
    name="DateTime",
    description="RFC 3339 timestamp in UTC with three fraction digits, e.g. 2026-11-24T12:00:00.000Z.",
    specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
    serialize=format_date_time,
)

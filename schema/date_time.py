"""The DateTime scalar."""

from datetime import UTC, datetime

import strawberry
from strawberry.types.scalar import ScalarDefinition


def format_date_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC with three fraction digits, e.g. 2026-11-24T12:00:00.000Z."""
    utc = moment.astimezone(UTC)
    # Every message has a timestamp, and this takes half the time of `isoformat` or an f-string.
    return "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ" % (  # noqa: UP031
        utc.year,
        utc.month,
        utc.day,
        utc.hour,
        utc.minute,
        utc.second,
        utc.microsecond // 1000,
    )


DATE_TIME: ScalarDefinition = strawberry.scalar(
    name="DateTime",
    description="RFC 3339 timestamp in UTC with three fraction digits, e.g. 2026-11-24T12:00:00.000Z.",
    specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
    serialize=format_date_time,
)

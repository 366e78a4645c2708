"""Timestamps are in UTC with three fraction digits, whatever their time zone."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given
from hypothesis import strategies as st

from schema.date_time import format_date_time

ZONES = st.sampled_from([UTC, *(timezone(timedelta(minutes=each)) for each in (0, 330, -540))])


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES))
@example(datetime(1, 1, 2, tzinfo=UTC))
@example(datetime(2026, 11, 28, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=-9))))
def test_a_timestamp_is_formatted_as_rfc_3339(moment: datetime):
    expected = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    assert format_date_time(moment) == expected

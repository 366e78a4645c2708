"""Points in time by the database's clock, which all processes share."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Interval, bindparam, func


def after(time: timedelta) -> ColumnElement[datetime]:
    """Return the moment that comes so long after the transaction's start."""
    return func.now() + bindparam(None, time, Interval)

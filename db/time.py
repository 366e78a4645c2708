"""Times by the database's clock, which all processes share."""

from datetime import datetime

from sqlalchemy import ColumnElement, Interval, bindparam, func


def after(name: str) -> ColumnElement[datetime]:
    """Return the time of the transaction's start plus the interval parameter `name`."""
    return func.now() + bindparam(name, type_=Interval)

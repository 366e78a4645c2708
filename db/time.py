"""Points in time by the database's clock, which all processes share."""

from datetime import datetime

from sqlalchemy import ColumnElement, Interval, bindparam, func


def after(name: str) -> ColumnElement[datetime]:
    """Return the moment that comes so long after the transaction's start: a parameter of that name."""
    return func.now() + bindparam(name, type_=Interval)

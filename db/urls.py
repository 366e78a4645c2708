"""Database URLs in the two formats of SQLAlchemy and of libpq, which operators use."""

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

_SCHEMES = {"postgresql", "postgres", "postgresql+asyncpg"}


def is_database_url(url: str) -> bool:
    """Return whether this is a PostgreSQL URL with a single host and a valid port."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return False
    return parsed.drivername in _SCHEMES and (parsed.port is None or 0 < parsed.port < 2**16)


def sqlalchemy_url(url: str) -> str:
    """Return the URL for an SQLAlchemy engine with asyncpg.

    libpq's parameter `sslmode` is called `ssl` by the driver:
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
    """
    return _converted(url, "postgresql+asyncpg", "sslmode", "ssl")


def libpq_url(url: str) -> str:
    """Return the URL for asyncpg itself."""
    return _converted(url, "postgresql", "ssl", "sslmode")


def _converted(url: str, driver: str, old: str, new: str) -> str:
    parsed = make_url(url).set(drivername=driver)
    if old in parsed.query:
        parsed = parsed.update_query_dict({new: parsed.query[old]}).difference_update_query([old])
    return parsed.render_as_string(hide_password=False)

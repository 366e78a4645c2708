"""The two spellings of a database's address: SQLAlchemy's, and libpq's, which operators know."""

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

_SCHEMES = {"postgresql", "postgres", "postgresql+asyncpg"}


def is_database_url(url: str) -> bool:
    """Return whether the address has the form of a PostgreSQL server's, with one host and a valid port."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return False
    return parsed.drivername in _SCHEMES and (parsed.port is None or 0 < parsed.port < 2**16)


def sqlalchemy_url(url: str) -> str:
    """Return the address for an SQLAlchemy engine on asyncpg.

    libpq's `sslmode` becomes `ssl`, by which the driver calls it:
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
    """
    return _respelt(url, "postgresql+asyncpg", "sslmode", "ssl")


def libpq_url(url: str) -> str:
    """Return the same address for asyncpg itself."""
    return _respelt(url, "postgresql", "ssl", "sslmode")


def _respelt(url: str, driver: str, old: str, new: str) -> str:
    parsed = make_url(url).set(drivername=driver)
    if old in parsed.query:
        parsed = parsed.update_query_dict({new: parsed.query[old]}).difference_update_query([old])
    return parsed.render_as_string(hide_password=False)

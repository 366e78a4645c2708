"""Statements that count actions for the rate limits, for all processes together."""

from datetime import datetime, timedelta

from sqlalchemy import bindparam, case, delete, func, select
from sqlalchemy.dialects import postgresql

from db.statements import Connection, Statement
from db.tables import rate_counts
from db.time import after

_begin = postgresql.insert(rate_counts).values(
    key=bindparam("key"), hits=bindparam("amount"), expires_at=after("lasts")
)
_is_over = rate_counts.c.expires_at <= func.now()
_COUNT = Statement(
    _begin.on_conflict_do_update(
        index_elements=[rate_counts.c.key],
        set_={
            "hits": case((_is_over, _begin.excluded.hits), else_=rate_counts.c.hits + _begin.excluded.hits),
            "expires_at": case((_is_over, _begin.excluded.expires_at), else_=rate_counts.c.expires_at),
        },
    ).returning(rate_counts.c.hits)
)


async def count(connection: Connection, key: str, amount: int, lasts: timedelta) -> int:
    """Add `amount` to the count of the key, and return the count. It is reset after `lasts`."""
    return await _COUNT.fetchval(connection, key=key, amount=amount, lasts=lasts)


_COUNTED = Statement(
    select(rate_counts.c.hits, rate_counts.c.expires_at).where(
        rate_counts.c.key == bindparam("key"), rate_counts.c.expires_at > func.now()
    )
)


async def counted(connection: Connection, key: str) -> tuple[int, datetime] | None:
    """Return the count of the key and when it expires; None if there is none."""
    row = await _COUNTED.fetchrow(connection, key=key)
    return (row[0], row[1]) if row else None


_FORGET = Statement(delete(rate_counts).where(rate_counts.c.key == bindparam("key")))
_FORGET_OVER = Statement(delete(rate_counts).where(_is_over))


async def forget(connection: Connection, key: str | None = None) -> int:
    """Delete the count of the key, or all expired counts if it is None; return how many were deleted."""
    if key is None:
        return await _FORGET_OVER.execute(connection)
    return await _FORGET.execute(connection, key=key)

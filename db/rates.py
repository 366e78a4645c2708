"""Statements about how often something has been done of late, counted for all processes together."""

from datetime import datetime, timedelta

from sqlalchemy import case, delete, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import rate_counts
from db.time import after


async def count(connection: AsyncConnection, key: str, amount: int, lasts: timedelta) -> int:
    """Add to what the key has counted; return how much that is since its time began, `lasts` ago at most."""
    begin = postgresql.insert(rate_counts).values(key=key, hits=amount, expires_at=after(lasts))
    is_over = rate_counts.c.expires_at <= func.now()
    statement = begin.on_conflict_do_update(
        index_elements=[rate_counts.c.key],
        set_={
            "hits": case((is_over, amount), else_=rate_counts.c.hits + amount),
            "expires_at": case((is_over, begin.excluded.expires_at), else_=rate_counts.c.expires_at),
        },
    ).returning(rate_counts.c.hits)
    return (await connection.execute(statement)).scalar_one()


async def counted(connection: AsyncConnection, key: str) -> tuple[int, datetime] | None:
    """Return what the key has counted and until when; None when that is nothing."""
    query = select(rate_counts.c.hits, rate_counts.c.expires_at).where(
        rate_counts.c.key == key, rate_counts.c.expires_at > func.now()
    )
    row = (await connection.execute(query)).first()
    return (row[0], row[1]) if row else None


async def forget(connection: AsyncConnection, key: str | None = None) -> int:
    """Forget what the key has counted, or without one all that is over; return how many that were."""
    condition = rate_counts.c.expires_at <= func.now() if key is None else rate_counts.c.key == key
    return (await connection.execute(delete(rate_counts).where(condition))).rowcount

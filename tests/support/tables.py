"""Direct access to the database, without the product's statements."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from db.engine import Database
from db.urls import sqlalchemy_url


@asynccontextmanager
async def tables(database: Database) -> AsyncGenerator[AsyncConnection]:
    """Yield a SQLAlchemy connection for statements on `db.tables`, committed when the block ends."""
    async with create_async_engine(sqlalchemy_url(database.url), poolclass=NullPool).begin() as connection:
        yield connection

"""The database as it is, past the statements of the product."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from db.engine import Database
from db.urls import sqlalchemy_url


@asynccontextmanager
async def tables(database: Database) -> AsyncGenerator[AsyncConnection]:
    """Yield a connection of SQLAlchemy's for statements on `db.tables`, committed at the block's end."""
    async with create_async_engine(sqlalchemy_url(database.url), poolclass=NullPool).begin() as connection:
        yield connection

"""A database of a test's own."""

from collections.abc import AsyncGenerator

import pytest

from db.embedded import Cluster
from db.engine import Database, open_database
from tests.support.own_database import OwnDatabase


@pytest.fixture
async def empty_database(cluster: Cluster) -> AsyncGenerator[Database]:
    """A database without tables."""
    own = await OwnDatabase.create(cluster)
    async with open_database(own.url) as opened:
        yield opened

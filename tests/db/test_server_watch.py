"""Another PostgreSQL server that responds is noticed at the first connection to it."""

from datetime import UTC, datetime, timedelta

from db.engine import Database, open_database
from db.server_watch import ServerWatch

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_server_that_started_at_another_time_is_another_server():
    watch, others = ServerWatch(), list[int]()
    watch.on_other_server = lambda: others.append(1)
    for hours in (0, 0, 1, 1, 0):
        watch.note(FIRST + timedelta(hours=hours))
    # The first one is not another one.
    assert len(others) == 2


async def test_each_new_connection_says_which_server_it_has_reached(database: Database):
    others = list[int]()
    async with open_database(database.url, pool_size=2) as own:
        own.server.on_other_server = lambda: others.append(1)
        async with own.connection(), own.connection():
            assert others == []
        async with own.connection() as connection:
            await connection.close()
        own.server.note(FIRST)
        assert len(others) == 1
        async with own.connection() as connection, own.connection():
            # One of the two connections is new.
            assert len(others) == 2

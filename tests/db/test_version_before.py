"""What the version before does on the new tables is counted and noted, and it can read them."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from db import reservations
from db.engine import Database
from db.migrations import migrate
from tests.db import version_before
from tests.db.talks import Talks
from tests.db.version_before import Sent
from tests.support.counts import miscounted


async def test_every_statement_of_the_version_before_is_counted(empty_database: Database):
    await migrate(empty_database)
    talks = await Talks.begin(empty_database)
    async with empty_database.connection() as connection:
        for _ in range(300):
            await talks.act(connection, talks.of_both)
            assert await miscounted(connection) == []


async def test_statements_of_both_versions_at_the_same_time_are_counted(empty_database: Database):
    await migrate(empty_database)
    talks = await Talks.begin(empty_database)

    async def act_often() -> None:
        async with empty_database.connection() as connection:
            for _ in range(80):
                await talks.act(connection, talks.of_both)

    async with asyncio.timeout(120):
        await asyncio.gather(*(act_often() for _ in range(5)))
    async with empty_database.connection() as connection:
        assert await miscounted(connection) == []


async def test_a_batch_of_the_version_before_that_contains_answers_is_counted(
    empty_database: Database,
):
    await migrate(empty_database)
    talks = await Talks.begin(empty_database)
    talk, (ada, grace) = talks.talks[0]
    async with empty_database.connection() as connection:
        for authors in ([ada, grace], [grace, ada, grace], [ada, ada], [grace, grace, ada]):
            await version_before.send_all(connection, [Sent(talk, author, "hello") for author in authors])
            assert await miscounted(connection) == []


async def test_what_the_version_before_trims_is_noted_for_every_kind(empty_database: Database):
    await migrate(empty_database)
    talks = await Talks.begin(empty_database)
    talk, (ada, grace) = talks.talks[0]
    async with empty_database.connection() as connection:
        for _ in range(3):
            await version_before.send(connection, Sent(talk, ada, "old"))
        soon = datetime.now(UTC) + timedelta(minutes=1)
        for entries in (1, 1):
            assert await version_before.trim(connection, before=soon, entries=entries) == 2
        trims = await connection.fetch("SELECT user_id, kind, own, trimmed_to FROM inbox_trims ORDER BY 1")
        assert [tuple(row) for row in trims] == sorted((user_id, 0, False, 2) for user_id in (ada, grace))


async def test_the_version_before_reads_past_entries_of_other_kinds(empty_database: Database):
    await migrate(empty_database)
    talks = await Talks.begin(empty_database)
    talk, (ada, grace) = talks.talks[0]
    async with empty_database.connection() as connection:
        await version_before.send(connection, Sent(talk, ada, "one"))
        for kind in (2, 3, 5, 9):
            await connection.execute(
                """
                WITH inbox AS (
                    UPDATE inboxes SET last_position = last_position + 1 WHERE user_id = $1
                    RETURNING user_id, last_position
                )
                INSERT INTO inbox_entries (user_id, position, kind, subject_id, actor_id, created_at)
                SELECT user_id, last_position, $2, $3, $3, clock_timestamp() FROM inbox
                """,
                grace,
                kind,
                ada,
            )
        assert await version_before.read(connection, grace, after=0) == ([(1, "one")], 5)
        assert await version_before.read(connection, grace, after=1) == ([], 5)
        await version_before.send(connection, Sent(talk, ada, "two"))
        assert await version_before.read(connection, grace, after=0) == ([(1, "one"), (6, "two")], 6)


async def test_a_process_of_the_version_before_is_told_from_one_of_this(empty_database: Database):
    await migrate(empty_database)
    old, new = uuid4(), uuid4()
    async with empty_database.connection() as connection:
        await version_before.note_alive(connection, old)
        for _ in range(2):
            await reservations.note_alive(connection, new)
        rows = await connection.fetch("SELECT id, release FROM processes")
        assert {row["id"]: row["release"] for row in rows} == {old: 0, new: reservations.RELEASE}

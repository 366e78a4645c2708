"""When a cursor can be resumed from, and in which form it is issued."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import conversations, inboxes, reservations, users
from db.embedded import Cluster
from db.engine import Database, open_database
from db.migrations import migrate
from db.records import User
from db.retention import trim_batch
from execution.api import Api
from realtime.broadcaster import Broadcaster
from realtime.cursor_form import CursorForm, watch_releases
from resolvers import inbox
from resolvers.context import Context
from tests.conftest import Noted, PersonMaker
from tests.db import version_before
from tests.realtime.test_new_kind import Alone
from tests.support.changes import edits
from tests.support.own_database import OwnDatabase
from tests.support.serving import eventually_async

ALL = "subscription ($after: String) { inboxEvents(after: $after) { __typename cursor } }"
OTHERS = ALL.replace("$after)", "$after, includeMine: false)")
CREATED = "subscription ($after: String) { messageCreated(after: $after) { cursor } }"
TAGGED = CursorForm(tags=True)


@asynccontextmanager
async def streaming(
    database: Database, viewer: User, after: str, document: str = ALL, form: CursorForm = TAGGED
) -> AsyncGenerator[AsyncGenerator[Any]]:
    api = Api()
    operation = await api.operation(document, None, {"after": after}, "request")
    context = Context(database, Broadcaster(), viewer=viewer, stream=Alone(), cursor_form=form)
    async with context, aclosing(api.stream(operation, context)) as answers:
        yield answers


async def first(database: Database, viewer: User, after: str, document: str = ALL) -> Any:
    """Return the type of the first event, or the code of the error."""
    async with asyncio.timeout(10), streaming(database, viewer, after, document) as answers:
        answer = await anext(answers)
    if "errors" in answer:
        return answer["errors"][0]["extensions"]["code"]
    return answer["data"]["inboxEvents"]["__typename"]


async def cursor_of(database: Database, viewer: User, form: CursorForm = TAGGED) -> str:
    async with Context(database, Broadcaster(), viewer=viewer, cursor_form=form) as context:
        return await inbox.inbox_cursor(context)


@pytest.fixture
async def own(cluster: Cluster) -> AsyncGenerator[Database]:
    """A database that a test may trim and put back."""
    async with open_database((await OwnDatabase.create(cluster)).url) as opened:
        await migrate(opened)
        yield opened


async def pair(database: Database) -> tuple[User, User, UUID]:
    async with database.transaction() as connection:
        ada, grace = [await users.create(connection, name) for name in ("ada", "grace")]
        conversation, _ = await conversations.open_pair(connection, ada.id, grace.id)
    return ada, grace, conversation


async def sends(database: Database, author: User, conversation: UUID, content: str = "hello") -> UUID:
    async with database.transaction() as connection:
        delivered = await inboxes.deliver(connection, conversation, author.id, content)
    assert delivered is not None
    return delivered.message.id


async def trims_everything(database: Database) -> None:
    async with database.transaction() as connection:
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        assert await trim_batch(connection, before=tomorrow, after=UUID(int=0)) is not None


async def test_a_user_who_only_writes_for_a_month_resumes(own: Database):
    ada, grace, conversation = await pair(own)
    await sends(own, grace, conversation)
    cursor = await cursor_of(own, ada)
    for _ in range(3):
        await sends(own, ada, conversation)
    await trims_everything(own)
    assert await first(own, ada, cursor, OTHERS) == "CaughtUp"
    # Another device, which shows what this one has sent, has missed that.
    assert await first(own, ada, cursor, ALL) == "CURSOR_EXPIRED"
    assert await first(own, ada, await cursor_of(own, ada)) == "CaughtUp"


async def test_a_user_who_missed_a_message_that_was_trimmed_does_not_resume(own: Database):
    ada, grace, conversation = await pair(own)
    message = await sends(own, ada, conversation)
    cursor = await cursor_of(own, ada)
    await edits(own, message, "Hello")
    await sends(own, grace, conversation)
    seen = await cursor_of(own, ada)
    await trims_everything(own)
    for document in (ALL, OTHERS, CREATED):
        assert await first(own, ada, cursor, document) == "CURSOR_EXPIRED"
    assert await first(own, ada, seen) == "CaughtUp"


async def test_a_database_that_was_put_back_and_written_on_expires_cursors_by_itself(own: Database):
    ada, grace, conversation = await pair(own)
    for _ in range(5):
        await sends(own, ada, conversation)
    before = await cursor_of(own, grace)
    for _ in range(10):
        await sends(own, ada, conversation)
    later, without_tag = await cursor_of(own, grace), await cursor_of(own, grace, CursorForm())
    # A restore takes back the last ten transactions.
    async with own.transaction() as connection:
        await connection.execute("DELETE FROM messages WHERE seq > 5")
        await connection.execute("UPDATE conversations SET last_seq = 5")
        await connection.execute("DELETE FROM inbox_entries WHERE position > 5")
        await connection.execute("UPDATE inboxes SET last_position = 5")
    # It is past the end.
    assert await first(own, grace, later) == "CURSOR_EXPIRED"
    for _ in range(12):
        await sends(own, ada, conversation)
    assert await first(own, grace, later) == "CURSOR_EXPIRED"
    assert await first(own, grace, before) == "MessageCreated"
    # Only the tag tells.
    assert await first(own, grace, without_tag) == "MessageCreated"
    page = f'{{ inboxEvents(after: "{later}") {{ cursor }} }}'
    api = Api()
    operation = await api.operation(page, None, {}, "request")
    async with Context(own, Broadcaster(), viewer=grace) as context:
        answer: Any = await api.execute(operation, context)
    assert answer["errors"][0]["extensions"]["code"] == "CURSOR_EXPIRED"


async def test_every_cursor_of_a_stream_has_the_tag_of_its_entry(own: Database):
    ada, grace, conversation = await pair(own)
    start = await cursor_of(own, grace)
    assert len(start) == 44
    message = await sends(own, ada, conversation)
    await edits(own, message, "Hello")
    async with asyncio.timeout(10), streaming(own, grace, start) as answers:
        found = [(await anext(answers))["data"]["inboxEvents"] for _ in range(3)]
    assert [each["__typename"] for each in found] == ["MessageCreated", "MessageUpdated", "CaughtUp"]
    assert [len(each["cursor"]) for each in found] == [48, 48, 48]
    assert found[1]["cursor"] == found[2]["cursor"] == await cursor_of(own, grace)
    # A stream that begins at the end knows the tag of the last entry.
    async with streaming(own, ada, await cursor_of(own, ada), OTHERS) as answers:
        assert (await anext(answers))["data"]["inboxEvents"]["cursor"] == await cursor_of(own, ada)


async def test_cursors_are_issued_in_the_old_form_while_an_earlier_process_is_alive(own: Database):
    form = CursorForm(tags=True)
    old, new = uuid4(), uuid4()
    async with own.connection() as connection:
        await version_before.note_alive(connection, old)
        await reservations.note_alive(connection, new)
    watching = asyncio.create_task(watch_releases(form, own, every_seconds=0.05))
    try:

        async def has_tags() -> bool:
            return form.tags

        async def has_no_tags() -> bool:
            return not form.tags

        await eventually_async(has_no_tags)
        async with own.connection() as connection:
            await connection.execute(
                "UPDATE processes SET seen_at = seen_at - interval '61 seconds' WHERE id = $1", old
            )
        await eventually_async(has_tags)
    finally:
        watching.cancel()


async def test_ten_thousand_edits_are_passed_in_few_statements(
    noted: Noted, database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    async with database.transaction() as connection:
        conversation, _ = await conversations.open_pair(connection, ada.id, grace.id)
    start = await cursor_of(database, grace)
    message = await sends(database, ada, conversation)
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO inbox_entries (user_id, position, kind, conversation_id, subject_id, actor_id,"
            " created_at) SELECT $1, n, 2, $2, $3, $4, now() FROM generate_series(2, 10001) AS n",
            grace.id,
            conversation,
            message,
            ada.id,
        )
        await connection.execute("UPDATE inboxes SET last_position = 10001 WHERE user_id = $1", grace.id)
    own, statements = noted
    kinds = "kinds: [USER_UPDATED]"
    for document, most in ((ALL, 15), (ALL.replace("$after)", f"$after, {kinds})"), 15)):
        statements.clear()
        async with asyncio.timeout(20), streaming(own, grace, start, document) as answers:
            async for answer in answers:
                if answer["data"]["inboxEvents"]["__typename"] == "CaughtUp":
                    break
        assert len(statements) <= most

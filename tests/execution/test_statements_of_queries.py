"""The statements of queries: as many for many rows as for one, and a transaction only when needed."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text

from db import users
from db.engine import Database, open_database
from db.records import User
from execution.api import Api
from realtime.broadcaster import Broadcaster
from resolvers.context import Context
from tests.conftest import Noted, SignIn
from tests.schema.test_reading import CONVERSATIONS
from tests.support.serving import eventually
from tests.support.tables import tables

API = Api()


async def user_with_conversations(database: Database, count: int) -> User:
    """Create a user with this many conversations of one message each."""
    async with database.transaction() as connection:
        viewer = await users.create(connection, f"popular-{uuid4().hex[:12]}")
    async with tables(database) as connection:
        await connection.execute(
            text("""
                WITH people AS (
                    INSERT INTO users (id, username)
                    SELECT gen_random_uuid(), 'fan-' || gen_random_uuid() FROM generate_series(1, :count)
                    RETURNING id
                ), numbered AS (
                    SELECT id AS user_id, gen_random_uuid() AS room, row_number() OVER () AS position
                    FROM people
                ), rooms AS (
                    INSERT INTO conversations (id, last_seq) SELECT room, 1 FROM numbered
                ), members AS (
                    INSERT INTO participants (conversation_id, user_id, last_position)
                    SELECT room, user_id, 1 FROM numbered
                    UNION ALL SELECT room, :viewer, position FROM numbered
                )
                INSERT INTO messages (id, conversation_id, seq, author_id, content)
                SELECT gen_random_uuid(), room, 1, user_id, 'hello' FROM numbered
            """),
            {"count": count, "viewer": viewer.id},
        )
    return viewer


@pytest.mark.parametrize("count", [1, 30, 300])
async def test_a_page_of_conversations_takes_one_statement_at_any_size(noted: Noted, count: int):
    database, statements = noted
    viewer = await user_with_conversations(database, count)
    statements.clear()
    async with Context(database, Broadcaster(), viewer=viewer) as context:
        answer = await API.execute(await API.operation(CONVERSATIONS, None, {}, "a request"), context)
    assert "errors" not in answer
    assert len(statements) == 1, statements


SHOWN_BY_A_LIST = """
    {
        conversations {
            edges {
                cursor
                node {
                    id unreadCount otherParticipant { username }
                    lastMessage {
                        content mine version editedAt deletedAt viewerCanEdit viewerCanDelete
                    }
                }
            }
            pageInfo { hasNextPage endCursor }
        }
    }
"""


async def test_a_field_of_a_list_takes_one_statement_and_no_transaction(
    noted: Noted, monkeypatch: pytest.MonkeyPatch
):
    database, statements = noted
    viewer = await user_with_conversations(database, 30)
    monkeypatch.setattr(Database, "snapshot", None)
    statements.clear()
    async with Context(database, Broadcaster(), viewer=viewer) as context:
        answer = await API.execute(await API.operation(SHOWN_BY_A_LIST, None, {}, "a request"), context)
    assert "errors" not in answer
    assert len(statements) == 1, statements


@pytest.mark.parametrize(
    "query",
    [
        "{ conversations { edges { node { unreadCount } } } inboxCursor }",
        "{ one: conversations { edges { node { id } } } two: conversations { edges { node { id } } } }",
        "{ conversations { edges { node { lastMessage { conversation { lastMessage { id } } } } } } }",
        "{ ...it } fragment it on Query { conversations { edges { node { messages { __typename } } } } }",
    ],
)
async def test_queries_with_several_statements_read_from_one_snapshot(
    noted: Noted, query: str, monkeypatch: pytest.MonkeyPatch
):
    database, _ = noted
    viewer = await user_with_conversations(database, 3)
    monkeypatch.setattr(Database, "connection", None)
    async with Context(database, Broadcaster(), viewer=viewer) as context:
        answer = await API.execute(await API.operation(query, None, {}, "a request"), context)
    assert "errors" not in answer


async def test_nothing_is_read_for_a_finished_request(noted: Noted):
    database, statements = noted
    viewer = await user_with_conversations(database, 1)
    statements.clear()
    others = asyncio.all_tasks()
    async with Context(database, Broadcaster(), viewer=viewer) as context:
        context.loaders.users.load(viewer.id)
    # The loader creates tasks, and one of them creates another.
    for _ in range(2):
        await asyncio.sleep(0)
        while tasks := asyncio.all_tasks() - others:
            await asyncio.wait(tasks)
    assert (statements, database.pool_use()[1]) == ([], 0)


async def test_a_request_that_ends_while_its_snapshot_is_opened_gives_the_connection_back(noted: Noted):
    database, _ = noted

    async def read(context: Context) -> None:
        async with context.reading():
            pass

    async with Context(database, Broadcaster()) as context:
        reader = asyncio.create_task(read(context))
        await asyncio.sleep(0)
        assert not reader.done()
    await reader
    await eventually(lambda: database.pool_use()[1] == 0)


async def test_a_page_of_messages_takes_as_many_statements_as_one_message(noted: Noted, signs_in: SignIn):
    database, statements = noted
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    for author in (ada, grace) * 15:
        await author.sends("hello", to=conversation, key=str(uuid4()))
    async with database.snapshot() as connection:
        viewer = await users.by_username(connection, ada.username)
    query = """
        query ($id: ID!, $last: Int!) {
            conversation(id: $id) {
                messages(last: $last) {
                    edges {
                        node {
                            author { username } mine readByOthers idempotencyKey conversation { unreadCount }
                        }
                    }
                }
            }
        }
    """
    costs: list[int] = []
    for last in (1, 30):
        statements.clear()
        async with Context(database, Broadcaster(), viewer=viewer) as context:
            variables = {"id": conversation, "last": last}
            answer = await API.execute(await API.operation(query, None, variables, "a request"), context)
        assert "errors" not in answer
        costs.append(len(statements))
    assert costs == [1, 1]


async def test_a_query_does_not_wait_for_the_end_of_its_transaction(database: Database, signs_in: SignIn):
    ada = await signs_in("ada")
    async with database.snapshot() as connection:
        viewer = await users.by_username(connection, ada.username)
    async with open_database(database.url, pool_size=1) as opened:
        async with Context(opened, Broadcaster(), viewer=viewer) as context:
            operation = await API.operation("{ inboxCursor viewer { id } }", None, {}, "a request")
            assert "errors" not in await API.execute(operation, context)
        assert opened.pool_use()[1] == 1
        # The next request waits for it, and so does the end of the process.
        async with Context(opened, Broadcaster(), viewer=viewer) as context:
            assert "errors" not in await API.execute(operation, context)
    assert opened.pool_use() == (0, 0)

"""What is read together is what would be read alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from asyncpg import InvalidRowCountInLimitClauseError
from hypothesis import given, settings
from hypothesis import strategies as st

from db import conversations, inbox_log, inboxes, sessions, users
from db.engine import Database, open_database
from db.entries import MESSAGE_CREATED, MESSAGE_UPDATED, USER_UPDATED, InboxPage
from db.inbox_log import PageAsked, PageRows, Trimmed
from db.records import SessionTime
from db.shares import STREAM_CONNECTIONS
from db.users import UserGone
from resolvers.errors import Unauthenticated
from resolvers.sessions import authenticate, open_session
from tests.conftest import Noted, PersonMaker
from tests.support.changes import edits, renames

KINDS = (MESSAGE_CREATED, MESSAGE_UPDATED, USER_UPDATED)
TIME = SessionTime(unused=timedelta(days=1), at_most=timedelta(days=2))


@dataclass(frozen=True)
class Asked:
    """A page of the inbox of a user by their number; the last one does not exist."""

    reader: int
    after: int | None
    kinds: frozenset[int]
    include_mine: bool
    limit: int

    def of(self, readers: Sequence[UUID]) -> PageAsked:
        return PageAsked(readers[self.reader], self.after, self.kinds, self.include_mine, self.limit)


asked_pages = st.builds(
    Asked,
    reader=st.integers(0, 3),
    after=st.none() | st.integers(0, 9),
    kinds=st.frozensets(st.sampled_from(KINDS), min_size=1),
    include_mine=st.booleans(),
    limit=st.integers(1, 5),
)


def outcome(read: PageRows) -> InboxPage | type[Exception]:
    try:
        return read.page()
    except (Trimmed, UserGone) as error:
        return type(error)


async def talkers(database: Database) -> Sequence[UUID]:
    """Return users with entries of several kinds, one of whose inboxes is trimmed, and the ID of no user."""
    async with database.transaction() as connection:
        names = [f"t-{uuid4().hex[:16]}" for _ in range(3)]
        ada, grace, edsger = [await users.create(connection, name) for name in names]
        for other in (grace, edsger):
            conversation, _ = await conversations.open_pair(connection, ada.id, other.id)
            for author in (ada, other):
                delivered = await inboxes.deliver(connection, conversation, author.id, "hello")
                assert delivered is not None
    await edits(database, delivered.message.id, "Hello")
    await renames(database, grace.id, f"{names[1]}-2", told=[ada.id, grace.id])
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM inbox_entries WHERE user_id = $1 AND position <= 2", ada.id)
        await connection.execute("UPDATE inboxes SET trimmed_to = 2 WHERE user_id = $1", ada.id)
        await connection.executemany(
            "INSERT INTO inbox_trims (user_id, kind, own, trimmed_to) VALUES ($1, $2, $3, $4)",
            [(ada.id, MESSAGE_CREATED, True, 1), (ada.id, MESSAGE_CREATED, False, 2)],
        )
    return [ada.id, grace.id, edsger.id, UUID(int=7)]


@settings(max_examples=60, deadline=None)
@given(asked=st.lists(asked_pages, min_size=1, max_size=12))
async def test_pages_that_are_read_together_are_those_that_are_read_alone(
    database: Database, asked: list[Asked]
):
    async with open_database(database.url) as own:
        readers = await talkers(own)
        pages = [each.of(readers) for each in asked]
        async with own.snapshot() as connection:
            alone = [(await inbox_log.pages(connection, [each]))[0] for each in pages]
            together = await inbox_log.pages(connection, pages)
    assert list(map(outcome, together)) == list(map(outcome, alone))


async def test_sessions_that_are_read_together_are_those_of_their_tokens(
    database: Database, person: PersonMaker
):
    people = [await person("ada") for _ in range(4)]
    tokens = [uuid4().hex for _ in people]
    async with database.transaction() as connection:
        opened = [
            await sessions.create(connection, each, token, TIME, None)
            for each, token in zip(people, tokens, strict=True)
        ]
        renewed, late, ended, kept = opened
        new = [uuid4().hex for _ in range(2)]
        for old, replacement, grace in zip(tokens, new, (60, -60), strict=False):
            await sessions.replace_token(
                connection, old, replacement, time=TIME, grace=timedelta(seconds=grace)
            )
        await sessions.revoke(connection, ended.user.id, ended.id)
        asked = [tokens[3], *tokens, *new, "unknown"]
        found = await sessions.by_tokens(connection, asked)
    expected = [kept, renewed, None, None, kept, renewed, late, None]
    assert [each and each.id for each in found] == [each and each.id for each in expected]
    assert [each and each.user for each in found] == [each and each.user for each in expected]


async def entries_of(database: Database, asked: Sequence[PageAsked]) -> list[object]:
    reads = [database.batched_reads.inbox_page(each) for each in asked]
    outcomes = await asyncio.gather(*reads, return_exceptions=True)
    return [len(each.entries) if isinstance(each, InboxPage) else type(each) for each in outcomes]


def everything(user_id: UUID, limit: int = 100) -> PageAsked:
    return PageAsked(user_id, 0, KINDS, include_mine=True, limit=limit)


async def test_pages_of_many_users_are_one_statement_and_each_has_its_own_errors(
    noted: Noted, database: Database
):
    own, statements = noted
    _, grace, edsger, missing = await talkers(database)
    others = [(await talkers(database))[2] for _ in range(3)]
    asked = [everything(grace), everything(missing), *map(everything, others), everything(edsger)]
    assert await entries_of(own, asked) == [3, UserGone, 3, 3, 3, 3]
    assert len(statements) == 1
    # PostgreSQL rejects the statement because of this one.
    assert await entries_of(own, [*asked, everything(grace, limit=-1)]) == [
        *(3, UserGone, 3, 3, 3, 3),
        InvalidRowCountInLimitClauseError,
    ]
    assert len(statements) == 2 + len(asked) + 1


async def test_one_user_has_few_pages_in_a_statement(noted: Noted, database: Database):
    own, statements = noted
    _, grace, edsger, _ = await talkers(database)
    asked = [*[everything(grace)] * (3 * STREAM_CONNECTIONS), everything(edsger)]
    assert await entries_of(own, asked) == [3] * len(asked)
    assert len(statements) == 3


async def test_simultaneous_requests_look_up_their_tokens_in_one_statement(
    noted: Noted, database: Database, person: PersonMaker
):
    own, statements = noted
    signed_in = [await open_session(database, await person("ada"), TIME) for _ in range(20)]
    tokens = [each.token for each in signed_in]
    reads = [authenticate(own, token, TIME) for token in (*tokens, "unknown")]
    *found, unknown = await asyncio.gather(*reads, return_exceptions=True)
    assert found == [(each.session, False) for each in signed_in]
    assert isinstance(unknown, Unauthenticated)
    assert len(statements) == 1

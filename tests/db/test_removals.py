"""Removing users, and notifying the users who have a conversation with a user who changes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from random import Random
from uuid import UUID, uuid4

import pytest
from asyncpg import DivisionByZeroError, ForeignKeyViolationError

from db import conversations, identities, inboxes, removals, reservations, sessions, users
from db.engine import Database
from db.entries import USER_UPDATED
from db.inboxes import NotStored, Outgoing
from db.records import SessionTime, User
from db.statements import Connection
from db.users import UserGone
from realtime.broadcaster import Broadcaster
from resolvers.removals import finish, remove_user
from resolvers.users import is_username
from tests.db.changed_users import blocked, picture, remove, rename, send, stored, talk, told
from tests.support.counts import miscounted
from tests.support.serving import eventually_async

PersonMaker = Callable[[str], Awaitable[User]]
TIME = SessionTime(timedelta(hours=1), timedelta(days=1))


async def test_everyone_who_shares_a_conversation_gets_one_entry_for_a_changed_user(
    database: Database, person: PersonMaker
):
    ada, grace, barbara, stranger = [await person(name) for name in ("ada", "grace", "barbara", "joan")]
    await talk(database, ada, grace)
    group = await talk(database, ada, grace, barbara)
    await talk(database, grace, stranger)
    await send(database, barbara, group)
    new_name = f"lovelace-{uuid4().hex[:12]}"
    changed, appended = await rename(database, ada, new_name)
    assert changed == ada._replace(username=new_name)
    assert appended is not None
    assert appended.positions == {ada.id: 2, grace.id: 2, barbara.id: 2}
    assert (appended.kind, appended.subject_id, appended.actor_id) == (USER_UPDATED, ada.id, ada.id)
    _, pictured = await picture(database, ada, "https://pictures.example/ada.png")
    assert pictured is not None
    for reader in (ada, grace, barbara):
        assert await told(database, reader) == [(2, ada.id, ada.id), (3, ada.id, ada.id)]
    assert await told(database, stranger) == []
    async with database.connection() as connection:
        assert await miscounted(connection, [ada.id, grace.id, barbara.id, stranger.id]) == []


async def test_an_unchanged_profile_appends_nothing(database: Database, person: PersonMaker):
    ada, grace = await person("ada"), await person("grace")
    await talk(database, ada, grace)
    url = "https://pictures.example/ada.png"
    await picture(database, ada, url)
    assert await picture(database, ada, url) == (ada._replace(avatar_url=url), None)
    assert await rename(database, ada, ada.username) == (ada._replace(avatar_url=url), None)
    assert await rename(database, ada, None) == (ada._replace(avatar_url=url), None)
    assert await told(database, grace) == [(1, ada.id, ada.id)]
    # Another case is another name.
    changed, appended = await rename(database, ada, ada.username.upper())
    assert (changed.username, appended is not None) == (ada.username.upper(), True)


async def test_two_changes_of_a_profile_at_once_are_both_kept(database: Database, person: PersonMaker):
    ada = await person("ada")
    url, new_name = "https://pictures.example/ada.png", f"lovelace-{uuid4().hex[:12]}"
    async with database.transaction() as connection:
        await users.set_profile(connection, ada.id, username=None, avatar_url=url, keep_avatar=False)
        renaming = await blocked(database, rename(database, ada, new_name))
    await renaming
    assert await stored(database, ada) == ada._replace(username=new_name, avatar_url=url)
    newest = f"byron-{uuid4().hex[:12]}"
    async with database.transaction() as connection:
        await users.set_profile(connection, ada.id, username=newest, avatar_url=None, keep_avatar=True)
        changing = await blocked(database, picture(database, ada, None))
    await changing
    assert await stored(database, ada) == ada._replace(username=newest)


async def test_a_change_during_a_removal_is_rejected_and_appends_nothing(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    await talk(database, ada, grace)
    async with database.transaction() as connection:
        assert await removals.remove(connection, ada.id)
        renaming = await blocked(database, rename(database, ada, f"lovelace-{uuid4().hex[:12]}"))
        removing = asyncio.create_task(remove_user(database, Broadcaster(), ada.id))
    with pytest.raises(UserGone):
        await renaming
    assert await removing is False
    assert await told(database, grace) == [(1, ada.id, ada.id)]
    with pytest.raises(UserGone):
        await rename(database, ada, None)


async def test_removing_a_user_leaves_their_row_and_their_messages_alone(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    await picture(database, ada, "https://pictures.example/ada.png")
    await send(database, ada, conversation)
    subject = uuid4().hex
    async with database.transaction() as connection:
        session = await sessions.create(connection, ada, uuid4().hex, TIME, None)
        assert await reservations.create(connection, uuid4().hex, ada.id, most=1)
        await identities.link(connection, "https://issuer.example", subject, ada.id)
        await identities.keep_code(connection, uuid4().hex, ada.id, "challenge", timedelta(minutes=1))
        await connection.execute("INSERT INTO inbox_trims VALUES ($1, 0, false, 0)", ada.id)
    appended = await remove(database, ada)
    # Nothing is appended for the user, whose inbox is gone.
    assert appended.positions == {grace.id: 3}
    tombstone = await stored(database, ada)
    assert tombstone.removed_at == appended.created_at
    assert tombstone.avatar_url is None
    assert len(tombstone.username) <= 39
    assert not is_username(tombstone.username)
    async with database.connection() as connection:
        assert await sessions.open_among(connection, [session.id]) == set()
        assert await identities.user_of(connection, "https://issuer.example", subject) is None
        for table in ("reservations", "sign_in_codes", "identities", "sessions", "inbox_trims", "inboxes"):
            rows = await connection.fetch(f"SELECT FROM {table} WHERE user_id = $1", ada.id)
            assert rows == [], table
        assert (
            await connection.fetchval("SELECT content FROM messages WHERE author_id = $1", ada.id) == "hello"
        )
        assert await miscounted(connection, [ada.id, grace.id]) == []
        # The name is free.
        again = await users.create(connection, ada.username)
        assert await users.by_username(connection, ada.username) == again
        assert await users.with_prefix(connection, ada.username, without=grace.id, limit=5) == [again]
    async with database.transaction() as connection:
        assert await removals.remove(connection, ada.id) is None


async def test_a_removed_user_can_neither_write_nor_open_conversations_nor_sign_in(
    database: Database, person: PersonMaker
):
    ada, grace, barbara = [await person(name) for name in ("ada", "grace", "barbara")]
    conversation = await talk(database, ada, grace)
    await remove(database, ada)
    async with database.connection() as connection:
        assert await inboxes.deliver(connection, conversation, ada.id, "hello") is None
        batch = [Outgoing(conversation, author.id, "hello") for author in (ada, grace, ada)]
        outcomes = await inboxes.deliver_all(connection, batch)
        assert [outcome is NotStored.NO_CONVERSATION for outcome in outcomes] == [True, False, True]
        # A request that has just looked up the user cannot create anything for them.
        token_hash, code_hash = uuid4().hex, uuid4().hex
        await sessions.create(connection, ada, token_hash, TIME, None)
        assert await sessions.by_tokens(connection, [token_hash]) == [None]
        await identities.keep_code(connection, code_hash, ada.id, "challenge", timedelta(minutes=1))
        assert await identities.take_code(connection, code_hash) is None
    for one, other in ((ada, barbara), (barbara, ada)):
        with pytest.raises(UserGone):
            async with database.transaction() as connection:
                await conversations.open_pair(connection, one.id, other.id)
    with pytest.raises(UserGone):
        async with database.transaction() as connection:
            await reservations.create(connection, uuid4().hex, ada.id, most=1)


async def test_a_conversation_is_not_opened_with_a_user_who_is_just_being_removed(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")

    async def opens() -> None:
        async with database.transaction() as connection:
            await conversations.open_pair(connection, grace.id, ada.id)

    async with database.transaction() as connection:
        assert await removals.remove(connection, ada.id)
        opening = await blocked(database, opens())
    with pytest.raises(UserGone):
        await opening


async def test_users_who_have_written_or_take_part_cannot_be_deleted(database: Database, person: PersonMaker):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    await send(database, ada, conversation)
    async with database.connection() as connection:
        for user in (ada, grace):
            with pytest.raises(ForeignKeyViolationError):
                await connection.execute("DELETE FROM users WHERE id = $1", user.id)


async def entries_of(connection: Connection, user: User) -> int:
    return await connection.fetchval("SELECT count(*) FROM inbox_entries WHERE user_id = $1", user.id)


async def test_the_entries_of_a_removed_user_are_deleted_in_batches_even_if_interrupted(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    async with database.connection() as connection:
        await connection.execute(
            """
            INSERT INTO inbox_entries (user_id, position, kind, subject_id, created_at)
            SELECT reader, position, 9, $2, now()
            FROM unnest($1::uuid[]) AS reader, generate_series(1, 2500) AS position
            """,
            [ada.id, grace.id],
            grace.id,
        )
        await connection.execute(
            "UPDATE inboxes SET last_position = 2500 WHERE user_id = ANY($1)", [ada.id, grace.id]
        )
        # While the user exists, nothing is deleted.
        assert await removals.forget_entries(connection, ada.id) is False
        assert await entries_of(connection, ada) == 2500
        await remove(database, ada)
        assert await removals.forget_entries(connection, ada.id) is True
        assert await entries_of(connection, ada) == 1501
        await finish(database)
        assert await entries_of(connection, ada) == 0
        assert await entries_of(connection, grace) == 2500


async def test_a_removal_that_does_not_get_a_lock_in_time_is_tried_again(
    database: Database, person: PersonMaker
):
    ada = await person("ada")
    last_wait = """
        SELECT max(query_start) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()
    """
    async with database.connection() as connection:
        session = await sessions.create(connection, ada, uuid4().hex, TIME, None)
        async with database.transaction() as other:
            await other.execute("SELECT FROM sessions WHERE id = $1 FOR UPDATE", session.id)
            removing = await blocked(database, remove_user(database, Broadcaster(), ada.id))
            first = await connection.fetchval(last_wait)

            async def is_second_attempt() -> bool:
                assert not removing.done(), removing
                now = await connection.fetchval(last_wait)
                return now is not None and now > first

            await eventually_async(is_second_attempt)
        assert await removing is True


async def test_removing_an_author_of_many_messages_delays_no_sender_for_long(
    database: Database, person: PersonMaker
):
    ada, grace = await person("ada"), await person("grace")
    conversation = await talk(database, ada, grace)
    async with database.connection() as connection:
        for _ in range(100):
            await inboxes.deliver_all(connection, [Outgoing(conversation, ada.id, "hello")] * 100)
    took: list[float] = []
    is_over = asyncio.Event()

    async def send_on() -> None:
        while not is_over.is_set():
            begun = time.monotonic()
            await send(database, grace, conversation)
            took.append(time.monotonic() - begun)

    sending = asyncio.create_task(send_on())
    try:
        assert await remove_user(database, Broadcaster(), ada.id)
    finally:
        is_over.set()
        await sending
    assert max(took) < 1
    async with database.connection() as connection:
        assert await entries_of(connection, ada) == 0
        written = await connection.fetchval("SELECT count(*) FROM messages WHERE author_id = $1", ada.id)
        assert written == 10_000
        assert await miscounted(connection, [grace.id]) == []


async def test_removals_profiles_and_senders_never_deadlock(database: Database, person: PersonMaker):
    people: Sequence[User] = [await person(f"user{number}") for number in range(12)]
    talks = [
        (await talk(database, one, other), (one, other))
        for one in people
        for other in people[:4]
        if one != other
    ]
    dice = Random(7)
    removed: set[UUID] = set()
    actions = 0

    async def act() -> None:
        nonlocal actions
        while len(removed) < 8:
            conversation, pair = dice.choice(talks)
            async with database.connection() as connection:
                match dice.randrange(4):
                    case 0:
                        await inboxes.deliver(connection, conversation, dice.choice(pair).id, "hello")
                    case 1:
                        batch = [
                            Outgoing(each, dice.choice(two).id, "hello")
                            for each, two in dice.sample(talks, 5)
                        ]
                        # An author may be removed while the statement waits.
                        with suppress(DivisionByZeroError):
                            await inboxes.deliver_all(connection, batch)
                    case 2:
                        user = dice.choice(people)
                        changed = users.set_profile(
                            connection,
                            user.id,
                            username=f"user-{uuid4().hex[:12]}",
                            avatar_url=None,
                            keep_avatar=True,
                        )
                        try:
                            async with connection.transaction():
                                await changed
                        except UserGone:
                            assert user.id in removed
                    case _:
                        if dice.random() < 0.2:
                            user = dice.choice(people[4:])
                            # Before the commit, after which a profile can no longer be changed.
                            removed.add(user.id)
                            async with connection.transaction():
                                await removals.remove(connection, user.id)
            actions += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(act())
    assert actions > 50
    async with database.connection() as connection:
        ids = [user.id for user in people]
        assert await miscounted(connection, set(ids) - removed) == []
        # In each inbox that is left, entries are numbered without gaps.
        gaps = await connection.fetch(
            """
            SELECT inboxes.user_id FROM inboxes JOIN inbox_entries USING (user_id)
            WHERE inboxes.user_id = ANY($1::uuid[])
            GROUP BY inboxes.user_id, last_position HAVING count(*) <> last_position
            """,
            ids,
        )
        assert gaps == []
        without = await connection.fetch(
            "SELECT id FROM users WHERE id = ANY($1) AND removed_at IS NOT NULL", ids
        )
        assert {row["id"] for row in without} == removed

"""Mailboxes of reserved streams: what is put in is taken out once, in order, and a part at a time."""

from uuid import UUID, uuid4

import pytest

from db import reservations
from db.engine import Database
from db.reservations import Mail, MailboxFull, State
from tests.conftest import PersonMaker

KB = 1024


async def reserved_by(database: Database, user_id: UUID) -> UUID:
    async with database.transaction() as connection:
        reservation = await reservations.create(connection, uuid4().hex, user_id, most=1)
    assert reservation is not None
    return reservation


async def adds(
    database: Database,
    reservation: UUID,
    operation: str,
    content: str | None = None,
    *,
    most_bytes: int = 10**9,
) -> int:
    state = State.EXECUTING if content is None else State.NEW
    async with database.transaction() as connection:
        seq = await reservations.add_operation(
            connection, reservation, operation, state, content, most=100, most_bytes=most_bytes
        )
    assert seq is not None
    return seq


async def answers(database: Database, reservation: UUID, operation: str, answer: str) -> None:
    seq = await adds(database, reservation, operation)
    async with database.connection() as connection:
        await reservations.answer_operation(connection, reservation, operation, seq, answer)


async def takes_all(database: Database, reservation: UUID) -> list[list[Mail]]:
    """Take mail until nothing is left, and return it in the parts in which it came."""
    parts: list[list[Mail]] = []
    while True:
        async with database.connection() as connection:
            taken = await reservations.take_mail(connection, reservation)
        parts.append(list(taken.mail))
        if taken.is_all:
            return parts


async def test_mail_is_taken_in_order_and_about_a_megabyte_at_a_time(database: Database, person: PersonMaker):
    reservation = await reserved_by(database, (await person("ada")).id)
    sizes = [1, 400, 0, 400, 400, 400, 3000, 1, 400, 1500]
    for number, size in enumerate(sizes):
        if number % 3:
            await answers(database, reservation, str(number), "ä" * (size * KB // 2))
        else:
            await adds(database, reservation, str(number), "ä" * (size * KB // 2))
    parts = await takes_all(database, reservation)
    mail = [each for part in parts for each in part]
    assert [each.operation_id for each in mail] == [str(number) for number in range(len(sizes))]
    assert [len(each.content) for each in mail] == [size * KB for size in sizes]
    assert [each.state for each in mail] == [
        State.ANSWERED if number % 3 else State.NEW for number in range(len(sizes))
    ]
    assert len(parts) == 3
    for part in parts:
        # The last one may exceed it.
        assert sum(len(each.content) for each in part[:-1]) <= KB * KB
    assert await takes_all(database, reservation) == [[]]


async def test_many_small_mails_are_taken_in_parts_too(database: Database, person: PersonMaker):
    reservation = await reserved_by(database, (await person("ada")).id)
    async with database.connection() as connection:
        await connection.execute(
            """
            INSERT INTO stream_operations (reservation_id, operation_id, state, content)
            SELECT $1, number, 'answered', '{}' FROM generate_series(1, 3000) AS number
            """,
            reservation,
        )
    parts = await takes_all(database, reservation)
    assert [each.operation_id for part in parts for each in part] == [str(n) for n in range(1, 3001)]
    assert max(map(len, parts)) < 1100


async def test_a_full_mailbox_takes_no_more_operations_until_it_is_read(
    database: Database, person: PersonMaker
):
    reservation = await reserved_by(database, (await person("ada")).id)
    await answers(database, reservation, "first", "x" * 99)
    await adds(database, reservation, "second", "x", most_bytes=100)
    with pytest.raises(MailboxFull):
        await adds(database, reservation, "third", most_bytes=100)
    async with database.transaction() as connection:
        assert not await reservations.has_room(connection, reservation, most_bytes=100)
    await takes_all(database, reservation)
    # The second operation is still running.
    await adds(database, reservation, "third", most_bytes=1)
    async with database.transaction() as connection:
        assert await reservations.has_room(connection, reservation, most_bytes=1)


async def test_a_stopped_operation_leaves_no_content_behind(database: Database, person: PersonMaker):
    reservation = await reserved_by(database, (await person("ada")).id)
    await answers(database, reservation, "large", "x" * 1000)
    async with database.connection() as connection:
        await reservations.stop_operation(connection, reservation, "large")
    await adds(database, reservation, "next", most_bytes=1)
    [[mail]] = await takes_all(database, reservation)
    assert (mail.operation_id, mail.state, mail.content) == ("large", State.STOPPING, b"")


async def test_a_stopped_operation_does_not_answer_or_end_a_later_one_with_its_id(
    database: Database, person: PersonMaker
):
    reservation = await reserved_by(database, (await person("ada")).id)
    earlier = await adds(database, reservation, "same")
    async with database.connection() as connection:
        await reservations.stop_operation(connection, reservation, "same")
    [[stopped]] = await takes_all(database, reservation)
    assert (stopped.seq, stopped.state) == (earlier, State.STOPPING)
    later = await adds(database, reservation, "same")
    async with database.connection() as connection:
        await reservations.answer_operation(connection, reservation, "same", earlier, "of the earlier one")
        await reservations.remove_operation(connection, reservation, "same", earlier)
    assert await takes_all(database, reservation) == [[]]
    async with database.connection() as connection:
        await reservations.answer_operation(connection, reservation, "same", later, "of the later one")
    assert await takes_all(database, reservation) == [
        [Mail("same", later, State.ANSWERED, b"of the later one")]
    ]

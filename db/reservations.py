"""Statements about reserved streams, and the mailboxes through which other processes reach them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from uuid import UUID

from sqlalchemy import Interval, bindparam, delete, exists, func, insert, literal, select, text, update
from sqlalchemy.dialects import postgresql

from db.ids import new_id
from db.statements import Connection, Statement, uuids
from db.tables import processes, reservations, stream_operations, users
from db.users import UserGone

# A process says that it is alive every 2 seconds. The streams of one that has not for 5 are not counted; for
# those of one that has not for 60, nothing is accepted any more, and they may be swept.
ALIVE = timedelta(seconds=5)
GONE = timedelta(seconds=60)
# The number of this release, with which processes find out whether one of an earlier release is alive. It
# grows with releases that write what an earlier one cannot read. Before there was a number, it was 0.
RELEASE = 2
# How long a reservation waits for its stream.
UNUSED = timedelta(seconds=60)
# How much mail is taken at a time. Its last one may exceed it: a process holds that and one answer in memory.
_BYTES_AT_A_TIME = 1024 * 1024
# What a mail counts as in addition to its content, so that their number is limited too.
_BYTES_OF_A_MAIL = 1024


class ReservationGone(Exception):
    """The reservation's stream has ended."""


class TooManyOperations(Exception):
    """The stream has as many operations as it may."""


class MailboxFull(Exception):
    """The stream's client has yet to read as many bytes as may wait for it."""


class State(Enum):
    """What an operation of a stream waits for."""

    EXECUTING = "executing"
    """A query or mutation, at the process that it was sent to."""
    ANSWERED = "answered"
    """Its answer, to be sent on the stream."""
    NEW = "new"
    """A subscription, to be begun by the stream's process."""
    RUNNING = "running"
    """The same, begun."""
    STOPPING = "stopping"
    """An operation that the client has stopped, to be ended by the stream's process."""


@dataclass(frozen=True, slots=True)
class Mail:
    """Something for a stream's process to do: send an answer, begin a subscription, or stop an operation."""

    operation_id: str
    seq: int
    """Tells this operation from earlier and later ones with the same ID."""
    state: State
    content: bytes
    """An encoded answer, or an encoded subscription; empty if the operation is to be stopped."""


def _seconds_ago(time: timedelta):
    return func.clock_timestamp() - literal(time, Interval)


def _is_waiting_or_served(within: timedelta):
    """Say whether it waits for its stream, or its process has said within that time that it is alive."""
    is_waiting = reservations.c.process_id.is_(None) & (reservations.c.created_at > _seconds_ago(UNUSED))
    return is_waiting | exists().where(
        processes.c.id == reservations.c.process_id, processes.c.seen_at > _seconds_ago(within)
    )


# What is sent to a process that pauses, or cannot reach the database for a moment, waits in the mailbox.
_is_usable = _is_waiting_or_served(GONE)

# Reservations are counted one after the other, so that no two are both the last that fits.
_LOCK_USER = Statement(
    select(users.c.id)
    .where(users.c.id == bindparam("user_id"), users.c.removed_at.is_(None))
    .with_for_update(key_share=True)
)
_COUNT = Statement(
    select(func.count()).where(reservations.c.user_id == bindparam("user_id"), _is_waiting_or_served(ALIVE))
)
_CREATE = Statement(
    insert(reservations).values(
        id=bindparam("id"), token_hash=bindparam("token_hash"), user_id=bindparam("user_id")
    )
)


async def create(connection: Connection, token_hash: str, user_id: UUID, *, most: int) -> UUID | None:
    """Reserve a stream for the user; None when they have `most` already.

    Raises:
        UserGone: the user does not exist, or has been removed.
    """
    if await _LOCK_USER.fetchval(connection, user_id=user_id) is None:
        raise UserGone(str(user_id))
    if await _COUNT.fetchval(connection, user_id=user_id) >= most:
        return None
    reservation_id = new_id()
    await _CREATE.execute(connection, id=reservation_id, token_hash=token_hash, user_id=user_id)
    return reservation_id


_FIND = Statement(
    select(reservations.c.id).where(
        reservations.c.token_hash == bindparam("token_hash"),
        reservations.c.user_id == bindparam("user_id"),
        _is_usable,
    )
)


async def find(connection: Connection, token_hash: str, user_id: UUID) -> UUID | None:
    """Return the user's reservation of that token, open or waiting; None for any other, or a spent one."""
    return await _FIND.fetchval(connection, token_hash=token_hash, user_id=user_id)


_CLAIM = Statement(
    update(reservations)
    .where(reservations.c.id == bindparam("reservation_id"), reservations.c.process_id.is_(None))
    .values(process_id=bindparam("process_id"))
)


async def claim(connection: Connection, reservation_id: UUID, process_id: UUID) -> bool:
    """Open the stream at that process; False when it has been opened already."""
    return await _CLAIM.execute(connection, reservation_id=reservation_id, process_id=process_id) > 0


_RELEASE = Statement(delete(reservations).where(reservations.c.id == bindparam("reservation_id")))


async def release(connection: Connection, reservation_id: UUID) -> None:
    """Forget the reservation and its operations: its stream is over."""
    await _RELEASE.execute(connection, reservation_id=reservation_id)


# The lock keeps two from both being the last that fits, and tells a reservation that is gone.
_LOCK = Statement(
    select(reservations.c.id).where(reservations.c.id == bindparam("reservation_id")).with_for_update()
)
_SIZE = Statement(
    text("""
    SELECT count(*) AS operations, coalesce(sum(octet_length(content)), 0) AS bytes
    FROM stream_operations WHERE reservation_id = :reservation_id
""")
)
_ADD_OPERATION = Statement(
    postgresql.insert(stream_operations)
    .values(
        reservation_id=bindparam("reservation_id"),
        operation_id=bindparam("operation_id"),
        state=bindparam("state"),
        content=bindparam("content"),
    )
    .on_conflict_do_nothing()
    .returning(stream_operations.c.seq)
)


async def add_operation(
    connection: Connection,
    reservation_id: UUID,
    operation_id: str,
    state: State,
    content: str | None,
    *,
    most: int,
    most_bytes: int,
) -> int | None:
    """Add an operation to the stream and return its `seq`; None if its ID is in use.

    Raises:
        ReservationGone: the stream has ended.
        TooManyOperations: it has `most` already.
        MailboxFull: `most_bytes` or more wait in its mailbox.
    """
    if await _LOCK.fetchval(connection, reservation_id=reservation_id) is None:
        raise ReservationGone
    size = await _SIZE.fetchrow(connection, reservation_id=reservation_id)
    assert size is not None
    if size["operations"] >= most:
        raise TooManyOperations
    if size["bytes"] >= most_bytes:
        raise MailboxFull
    return await _ADD_OPERATION.fetchval(
        connection,
        reservation_id=reservation_id,
        operation_id=operation_id,
        state=state.value,
        content=content,
    )


_has_that_id = (stream_operations.c.reservation_id == bindparam("of_reservation")) & (
    stream_operations.c.operation_id == bindparam("of_operation")
)
_is_that_operation = _has_that_id & (stream_operations.c.seq == bindparam("of_seq"))
_ANSWER = Statement(
    update(stream_operations)
    .where(_is_that_operation, stream_operations.c.state == State.EXECUTING.value)
    .values(state=literal(State.ANSWERED.value), content=bindparam("answer"))
)
_STOP = Statement(
    update(stream_operations).where(_has_that_id).values(state=literal(State.STOPPING.value), content=None)
)
_REMOVE = Statement(delete(stream_operations).where(_is_that_operation))


async def has_room(connection: Connection, reservation_id: UUID, *, most_bytes: int) -> bool:
    """Return whether less than `most_bytes` wait in the mailbox, so that it takes another answer.

    Others wait until the transaction ends, so that it is still true when the answer is stored.
    """
    await _LOCK.execute(connection, reservation_id=reservation_id)
    size = await _SIZE.fetchrow(connection, reservation_id=reservation_id)
    assert size is not None
    return size["bytes"] < most_bytes


async def answer_operation(
    connection: Connection, reservation_id: UUID, operation_id: str, seq: int, answer: str
) -> None:
    """Put an answer into the mailbox; the answer of an operation that has been stopped is dropped."""
    await _ANSWER.execute(
        connection, of_reservation=reservation_id, of_operation=operation_id, of_seq=seq, answer=answer
    )


async def stop_operation(connection: Connection, reservation_id: UUID, operation_id: str) -> None:
    """Have the operation stopped; to stop one that is not there changes nothing."""
    await _STOP.execute(connection, of_reservation=reservation_id, of_operation=operation_id)


async def remove_operation(connection: Connection, reservation_id: UUID, operation_id: str, seq: int) -> None:
    """Forget an operation that is over, so that its ID may be used again."""
    await _REMOVE.execute(connection, of_reservation=reservation_id, of_operation=operation_id, of_seq=seq)


# A subscription's content is no longer needed once it has begun.
_TAKE = Statement(
    text(f"""
    WITH waiting AS (
        SELECT operation_id, content,
            sum(coalesce(octet_length(content), 0) + {_BYTES_OF_A_MAIL}) OVER (ORDER BY seq)
                - coalesce(octet_length(content), 0) AS bytes_before
        FROM stream_operations
        WHERE reservation_id = :reservation_id AND state IN ('answered', 'new', 'stopping')
    ), first AS MATERIALIZED (
        SELECT operation_id, content FROM waiting WHERE bytes_before <= {_BYTES_AT_A_TIME}
    ), taken AS (
        DELETE FROM stream_operations AS operation USING first
        WHERE reservation_id = :reservation_id AND operation.operation_id = first.operation_id
            AND state IN ('answered', 'stopping')
        RETURNING seq, operation.operation_id, state, operation.content
    ), begun AS (
        UPDATE stream_operations AS operation SET state = 'running', content = NULL FROM first
        WHERE reservation_id = :reservation_id AND operation.operation_id = first.operation_id
            AND state = 'new'
        RETURNING seq, operation.operation_id, 'new' AS state, first.content
    )
    SELECT operation_id, seq, state, convert_to(coalesce(content, ''), 'UTF8') AS content,
        (SELECT count(*) FROM waiting) > (SELECT count(*) FROM first) AS is_more
    FROM (SELECT * FROM taken UNION ALL SELECT * FROM begun) AS mail
    ORDER BY seq
""")
)


@dataclass(frozen=True, slots=True)
class TakenMail:
    """The first mail of a mailbox, in order."""

    mail: Sequence[Mail]
    is_all: bool
    """Whether nothing else is in the mailbox."""


async def take_mail(connection: Connection, reservation_id: UUID) -> TakenMail:
    """Take the first mail, up to the one that exceeds a megabyte.

    Only the process that serves the stream does this.
    """
    rows = await _TAKE.fetch(connection, reservation_id=reservation_id)
    mail = [Mail(row["operation_id"], row["seq"], State(row["state"]), row["content"]) for row in rows]
    return TakenMail(mail, not any(row["is_more"] for row in rows))


_SUBSCRIPTIONS_OF = Statement(
    text("""
    SELECT operation_id FROM stream_operations
    WHERE reservation_id = :reservation_id AND state IN ('new', 'running')
    ORDER BY seq
""")
)


async def subscriptions_of(connection: Connection, reservation_id: UUID) -> Sequence[str]:
    """Return the ids of the stream's subscriptions, begun or not, in the order in which they came."""
    return [row[0] for row in await _SUBSCRIPTIONS_OF.fetch(connection, reservation_id=reservation_id)]


_WITH_MAIL = Statement(
    text("""
    SELECT DISTINCT reservation_id FROM stream_operations
    WHERE reservation_id = ANY(:ids) AND state IN ('answered', 'new', 'stopping')
""")
)


async def with_mail(connection: Connection, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Return those of the reservations that have something in their mailbox; one statement for all."""
    return [row[0] for row in await _WITH_MAIL.fetch(connection, ids=ids)]


_EXISTING = Statement(select(reservations.c.id).where(reservations.c.id == func.any(uuids("ids"))))


async def existing(connection: Connection, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Return those of the reservations that still exist; one statement for all."""
    return [row["id"] for row in await _EXISTING.fetch(connection, ids=ids)]


_NOTE_ALIVE = Statement(
    postgresql.insert(processes)
    .values(id=bindparam("id"), seen_at=func.clock_timestamp(), release=RELEASE)
    .on_conflict_do_update(index_elements=[processes.c.id], set_={"seen_at": func.clock_timestamp()})
)


async def note_alive(connection: Connection, process_id: UUID) -> None:
    """Say that the process is alive."""
    await _NOTE_ALIVE.execute(connection, id=process_id)


_EARLIER_RELEASE = Statement(
    select(exists().where(processes.c.release < literal(RELEASE), processes.c.seen_at > _seconds_ago(GONE)))
)


async def is_earlier_release_alive(connection: Connection) -> bool:
    """Return whether a process of an earlier release may still be serving."""
    return await _EARLIER_RELEASE.fetchval(connection)


_FORGET_DEAD = Statement(delete(processes).where(processes.c.seen_at < _seconds_ago(GONE)))
_FORGET_SPENT = Statement(delete(reservations).where(~_is_usable))


async def sweep(connection: Connection) -> None:
    """Forget processes that have died, and reservations that are spent or were never taken up.

    Only a process that has itself said without a pause, for as long as `GONE`, that it is alive may do this:
    after an outage of the database, the others have had as long to say so again.
    """
    await _FORGET_DEAD.execute(connection)
    await _FORGET_SPENT.execute(connection)

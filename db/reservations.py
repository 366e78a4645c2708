"""Statements about reserved streams, and the mailboxes through which other processes reach them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from uuid import UUID

from sqlalchemy import Interval, bindparam, delete, exists, func, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.constraints import violates
from db.ids import new_id
from db.tables import processes, reservations, stream_operations
from db.users import UserGone

# A process says that it is alive every 2 seconds; one that has not for 5 serves no stream any more.
ALIVE = timedelta(seconds=5)
# How long a reservation waits for its stream.
UNUSED = timedelta(seconds=60)


class ReservationGone(Exception):
    """The reservation's stream has ended."""


class TooManyOperations(Exception):
    """The stream has as many operations as it may."""


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
    state: State
    content: str | None


def _seconds_ago(time: timedelta):
    return func.clock_timestamp() - bindparam(None, time, Interval)


_is_usable = (
    reservations.c.process_id.is_(None) & (reservations.c.created_at > _seconds_ago(UNUSED))
) | exists().where(processes.c.id == reservations.c.process_id, processes.c.seen_at > _seconds_ago(ALIVE))


async def create(connection: AsyncConnection, token_hash: str, user_id: UUID, *, most: int) -> UUID | None:
    """Reserve a stream for the user; None when they have `most` already.

    Raises:
        UserGone: there is no such user; the transaction is then over.
    """
    count = select(func.count()).where(reservations.c.user_id == user_id, _is_usable)
    if (await connection.execute(count)).scalar_one() >= most:
        return None
    reservation_id = new_id()
    values = {"id": reservation_id, "token_hash": token_hash, "user_id": user_id}
    try:
        await connection.execute(insert(reservations).values(values))
    except IntegrityError as error:
        if violates(error, "reservations_user_id_fkey"):
            raise UserGone(str(user_id)) from error
        raise
    return reservation_id


async def find(connection: AsyncConnection, token_hash: str, user_id: UUID) -> UUID | None:
    """Return the user's reservation of that token, open or waiting; None for any other, or a spent one."""
    query = select(reservations.c.id).where(
        reservations.c.token_hash == token_hash, reservations.c.user_id == user_id, _is_usable
    )
    return (await connection.execute(query)).scalar_one_or_none()


async def claim(connection: AsyncConnection, reservation_id: UUID, process_id: UUID) -> bool:
    """Open the stream at that process; False when it has been opened already."""
    statement = (
        update(reservations)
        .where(reservations.c.id == reservation_id, reservations.c.process_id.is_(None))
        .values(process_id=process_id)
        .returning(reservations.c.id)
    )
    return (await connection.execute(statement)).first() is not None


async def release(connection: AsyncConnection, reservation_id: UUID) -> None:
    """Forget the reservation and its operations: its stream is over."""
    await connection.execute(delete(reservations).where(reservations.c.id == reservation_id))


async def add_operation(
    connection: AsyncConnection,
    reservation_id: UUID,
    operation_id: str,
    state: State,
    content: str | None,
    *,
    most: int,
) -> bool:
    """Add an operation to the stream; False when its id is in use.

    Raises:
        ReservationGone: the stream has ended.
        TooManyOperations: it has `most` already.
    """
    # The lock keeps two from both being the last that fits, and tells a reservation that is gone.
    lock = select(reservations.c.id).where(reservations.c.id == reservation_id).with_for_update()
    if (await connection.execute(lock)).first() is None:
        raise ReservationGone
    count = select(func.count()).where(stream_operations.c.reservation_id == reservation_id)
    if (await connection.execute(count)).scalar_one() >= most:
        raise TooManyOperations
    values = {
        "reservation_id": reservation_id,
        "operation_id": operation_id,
        "state": state.value,
        "content": content,
    }
    added = await connection.execute(
        postgresql.insert(stream_operations)
        .values(values)
        .on_conflict_do_nothing()
        .returning(stream_operations.c.operation_id)
    )
    return added.first() is not None


async def answer_operation(
    connection: AsyncConnection, reservation_id: UUID, operation_id: str, answer: str
) -> None:
    """Put an answer into the mailbox; one whose operation has been stopped meanwhile goes nowhere."""
    await connection.execute(
        update(stream_operations)
        .where(
            stream_operations.c.reservation_id == reservation_id,
            stream_operations.c.operation_id == operation_id,
            stream_operations.c.state == State.EXECUTING.value,
        )
        .values(state=State.ANSWERED.value, content=answer)
    )


async def stop_operation(connection: AsyncConnection, reservation_id: UUID, operation_id: str) -> None:
    """Have the operation stopped; to stop one that is not there changes nothing."""
    await connection.execute(
        update(stream_operations)
        .where(
            stream_operations.c.reservation_id == reservation_id,
            stream_operations.c.operation_id == operation_id,
        )
        .values(state=State.STOPPING.value)
    )


async def remove_operation(connection: AsyncConnection, reservation_id: UUID, operation_id: str) -> None:
    """Forget an operation that is over, so that its id may be used again."""
    await connection.execute(
        delete(stream_operations).where(
            stream_operations.c.reservation_id == reservation_id,
            stream_operations.c.operation_id == operation_id,
        )
    )


_TAKE = text("""
    WITH taken AS (
        DELETE FROM stream_operations
        WHERE reservation_id = :reservation_id AND state IN ('answered', 'stopping')
        RETURNING seq, operation_id, state, content
    ), begun AS (
        UPDATE stream_operations SET state = 'running'
        WHERE reservation_id = :reservation_id AND state = 'new'
        RETURNING seq, operation_id, 'new' AS state, content
    )
    SELECT operation_id, state, content FROM (SELECT * FROM taken UNION ALL SELECT * FROM begun) AS mail
    ORDER BY seq
""")


async def take_mail(connection: AsyncConnection, reservation_id: UUID) -> Sequence[Mail]:
    """Take what is in the mailbox, in order. Only the process that serves the stream does."""
    rows = await connection.execute(_TAKE, {"reservation_id": reservation_id})
    return [Mail(row.operation_id, State(row.state), row.content) for row in rows]


async def subscriptions_of(connection: AsyncConnection, reservation_id: UUID) -> Sequence[str]:
    """Return the ids of the stream's subscriptions, begun or not, in the order in which they came."""
    query = (
        select(stream_operations.c.operation_id)
        .where(
            stream_operations.c.reservation_id == reservation_id,
            stream_operations.c.state.in_([State.NEW.value, State.RUNNING.value]),
        )
        .order_by(stream_operations.c.seq)
    )
    return (await connection.scalars(query)).all()


async def with_mail(connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Return those of the reservations that have something in their mailbox; one statement for all."""
    waiting = [State.ANSWERED.value, State.NEW.value, State.STOPPING.value]
    query = (
        select(stream_operations.c.reservation_id)
        .where(
            stream_operations.c.reservation_id == func.any(list(ids)),
            stream_operations.c.state.in_(waiting),
        )
        .distinct()
    )
    return (await connection.scalars(query)).all()


async def note_alive(connection: AsyncConnection, process_id: UUID) -> None:
    """Say that the process is alive."""
    statement = postgresql.insert(processes).values(id=process_id, seen_at=func.clock_timestamp())
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[processes.c.id], set_={"seen_at": func.clock_timestamp()}
        )
    )


async def sweep(connection: AsyncConnection) -> None:
    """Forget processes that have died, and reservations that are spent or were never taken up."""
    await connection.execute(delete(processes).where(processes.c.seen_at < _seconds_ago(UNUSED)))
    await connection.execute(delete(reservations).where(~_is_usable))

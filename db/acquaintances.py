"""Notifying a user's acquaintances that the user has changed.

Acquaintances share a conversation with the user that they see in their list, because it has a message, or
that they have opened themselves. Others do not know of the conversation, and get no entry: otherwise, anyone
could write to the inboxes of all users by opening conversations with them.
"""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import Record
from sqlalchemy import text

from db.appending import appending, entries_of
from db.entries import USER_UPDATED, Appended
from db.statements import Connection, Statement

_ATTEMPTS = 5
_ENTRIES = entries_of(USER_UPDATED, subject=":user_id", actor=":user_id", conversation="NULL")
_RECIPIENTS = """
    SELECT others.user_id
    FROM participants AS own
    JOIN participants AS others ON others.conversation_id = own.conversation_id
    WHERE own.user_id = :user_id AND (others.last_position > 0 OR others.has_opened)
    UNION SELECT CAST(:user_id AS uuid)
"""


def notifying(change: str) -> str:
    """Return the steps that append an entry to the inboxes of the user `:user_id` and their acquaintances.

    `change` is a subquery of one row with `created_at`, or of none if nothing changes. The last step,
    `arrived`, is also empty if the user has been removed before their inbox is locked.
    """
    return f"""
    change AS MATERIALIZED ({change}),
    arriving AS (
        SELECT recipients.user_id, 1 AS nth, change.created_at
        FROM change CROSS JOIN ({_RECIPIENTS}) AS recipients
    ),
    {appending(_ENTRIES, only_if="EXISTS (SELECT FROM locked_inboxes WHERE user_id = :user_id)")}"""


_IS_ANY_MISSED = Statement(
    text(f"""
    SELECT EXISTS (
        SELECT FROM ({_RECIPIENTS}) AS recipients
        JOIN inboxes ON inboxes.user_id = recipients.user_id
        LEFT JOIN unnest(CAST(:notified AS uuid[])) AS notified ON notified = recipients.user_id
        WHERE notified IS NULL
    )
""")
)


async def notify(
    connection: Connection, statement: Statement, user_id: UUID, **values: object
) -> Sequence[Record]:
    """Execute a statement with the steps of `notifying`. Return its rows, which have a `user_id` each.

    The connection must be in a transaction. While the statement waited for locks, others may have become
    acquaintances, by a first message or by opening a conversation; it is then undone and repeated. Until the
    transaction ends, nobody sends a message to or from the user, whose inbox is locked.
    """
    await connection.execute("SAVEPOINT notifying")
    for _ in range(_ATTEMPTS - 1):
        rows = await statement.fetch(connection, user_id=user_id, **values)
        reached = [row["user_id"] for row in rows]
        if not rows or not await _IS_ANY_MISSED.fetchval(connection, user_id=user_id, notified=reached):
            return rows
        # This also releases the locks.
        await connection.execute("ROLLBACK TO SAVEPOINT notifying")
    return await statement.fetch(connection, user_id=user_id, **values)


def notified(user_id: UUID, arrived: Sequence[Record]) -> Appended:
    """Return the entry, given the rows of `arrived`."""
    positions: dict[UUID, int] = {row["user_id"]: row["position"] for row in arrived}
    return Appended(USER_UPDATED, None, user_id, user_id, arrived[0]["created_at"], positions)

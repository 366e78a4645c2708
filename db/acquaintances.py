"""Notifying a user's acquaintances that the user has changed.

Acquaintances share a conversation with the user that they see in their list, because it has a message, or
that they have opened themselves. Others do not know of the conversation, and get no entry: otherwise, anyone
could write to the inboxes of all users by opening conversations with them.

A change takes two transactions. The first appends an entry to the inboxes of the acquaintances at the time
when its statement begins (`notifying`), and then changes the user. While it waits for locks and appends,
others may become acquaintances and read the unchanged user: by opening a conversation, which does not wait
for this, or by a first message, until the user's inbox is locked. The second appends to the inboxes of those
(`notify_missed`).

This reaches all acquaintances, in whatever order the transactions wait for each other. An acquaintance who
has read the unchanged user did so in a snapshot that contains the conversation, but not the change, so the
conversation was committed first. The statement of the second transaction begins after the commit of the
change, and READ COMMITTED gives each statement a new snapshot, so it sees the conversation. Acquaintances
whose conversation is committed later read the changed user. If the process or the database fails before the
second transaction, its acquaintances are not notified.

The second transaction is not part of the first, which holds locks on inboxes: to lock further ones, out of
the order of user IDs, could deadlock.
"""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import Record
from sqlalchemy import text

from db.appending import appending, entries_of
from db.entries import USER_UPDATED, Appended
from db.statements import Connection, Statement

_ENTRIES = entries_of(USER_UPDATED, subject=":user_id", actor=":user_id", conversation="NULL")
_ACQUAINTANCES = """
    SELECT others.user_id
    FROM participants AS own
    JOIN participants AS others ON others.conversation_id = own.conversation_id
    WHERE own.user_id = :user_id AND (others.last_position > 0 OR others.has_opened)
"""


def notifying(change: str) -> str:
    """Return the steps that append an entry to the inboxes of the user `:user_id` and their acquaintances.

    `change` is a subquery of one row with `created_at`, or of none if nothing changes. The last step,
    `arrived`, is also empty if the user has been removed before their inbox is locked. Until the transaction
    ends, no message to or from the user is stored, and no other transaction changes or removes them. After
    the commit, call `notify_missed`.
    """
    return f"""
    change AS MATERIALIZED ({change}),
    arriving AS (
        SELECT recipients.user_id, 1 AS nth, change.created_at
        FROM change CROSS JOIN ({_ACQUAINTANCES} UNION SELECT CAST(:user_id AS uuid)) AS recipients
    ),
    {appending(_ENTRIES, only_if="EXISTS (SELECT FROM locked_inboxes WHERE user_id = :user_id)")}"""


def notified(user_id: UUID, arrived: Sequence[Record]) -> Appended:
    """Return the entry, given the rows of `arrived`."""
    positions: dict[UUID, int] = {row["user_id"]: row["position"] for row in arrived}
    return Appended(USER_UPDATED, None, user_id, user_id, arrived[0]["created_at"], positions)


# EXCEPT sorts or hashes, whatever number of notified users the planner expects. A join might be nested loops.
_NOTIFY_MISSED = Statement(
    text(f"""
    WITH
    -- The time is taken once for all recipients, because hints have only one.
    now AS MATERIALIZED (SELECT CAST(clock_timestamp() AS timestamptz(3)) AS created_at),
    arriving AS (
        SELECT missed.user_id, 1 AS nth, now.created_at
        FROM now CROSS JOIN ({_ACQUAINTANCES} EXCEPT SELECT unnest(CAST(:notified AS uuid[]))) AS missed
    ),
    {appending(_ENTRIES)}
    SELECT user_id, position, created_at FROM arrived
""")
)


async def notify_missed(connection: Connection, appended: Appended) -> Appended | None:
    """Append another entry for the acquaintances who did not get `appended`, which has been committed.

    None if there are none. The connection must not be in the transaction that has appended it.
    """
    user_id = appended.subject_id
    arrived = await _NOTIFY_MISSED.fetch(connection, user_id=user_id, notified=list(appended.positions))
    return notified(user_id, arrived) if arrived else None

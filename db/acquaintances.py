"""Telling a user's acquaintances, who share a conversation with them, that the user has changed."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import Record

from db.appending import appending, entries_of
from db.entries import USER_UPDATED, Appended

_ENTRIES = entries_of(USER_UPDATED, subject=":user_id", actor=":user_id", conversation="NULL")


def telling(change: str) -> str:
    """Return the steps that append an entry to the inboxes of the user `:user_id` and their acquaintances.

    `change` is a subquery of one row with `created_at`, or of none if nothing changes. The last step,
    `arrived`, is also empty if the user has been removed before their inbox is locked.
    """
    return f"""
    change AS MATERIALIZED ({change}),
    arriving AS (
        SELECT told.user_id, 1 AS nth, change.created_at
        FROM change CROSS JOIN (
            SELECT others.user_id
            FROM participants AS own
            JOIN participants AS others ON others.conversation_id = own.conversation_id
            WHERE own.user_id = :user_id
            UNION SELECT CAST(:user_id AS uuid)
        ) AS told
    ),
    {appending(_ENTRIES, only_if="EXISTS (SELECT FROM locked_inboxes WHERE user_id = :user_id)")}"""


def told(user_id: UUID, arrived: Sequence[Record]) -> Appended:
    """Return the entry, given the rows of `arrived`."""
    positions: dict[UUID, int] = {row["user_id"]: row["position"] for row in arrived}
    return Appended(USER_UPDATED, None, user_id, user_id, arrived[0]["created_at"], positions)

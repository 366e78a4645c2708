"""Removing users. Their row stays, without name and picture, and so do their messages by default."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Table, bindparam, delete, text

from db.acquaintances import notified, notifying
from db.entries import Appended
from db.statements import Connection, Statement
from db.tables import identities, inbox_trims, inboxes, reservations, sessions, sign_in_codes

_ENTRIES = 1000

_CHANGE = """
    SELECT CAST(clock_timestamp() AS timestamptz(3)) AS created_at
    FROM users WHERE id = :user_id AND removed_at IS NULL
"""
_NOTIFY = Statement(text(f"WITH {notifying(_CHANGE)} SELECT user_id, position, created_at FROM arrived"))


def _without_user(table: Table) -> Statement:
    return Statement(delete(table).where(table.c.user_id == bindparam("user_id")))


_SIGN_OUT = [_without_user(table) for table in (reservations, sign_in_codes, identities, sessions)]
# Names begin with a letter or a digit, so no user can take this one. It ends with 30 digits of the ID.
_CLEAR_PROFILE = Statement(
    text("""
    UPDATE users
    SET username = '-removed-' || right(replace(CAST(id AS text), '-', ''), 30), avatar_url = NULL,
        removed_at = :removed_at, deletes_messages = :delete_messages
    WHERE id = :user_id
""")
)
_DROP_INBOX = [_without_user(table) for table in (inbox_trims, inboxes)]


async def remove(connection: Connection, user_id: UUID, *, delete_messages: bool = False) -> Appended | None:
    """Remove the user, and notify their acquaintances. None if there is no such user.

    The connection must be in a transaction. Until it ends, nothing is appended to these inboxes. Afterwards,
    the user has no sessions, no ways to sign in, and no inbox, so that nothing is appended to it, and their
    username is free. The entries of their inbox are left to `forget_entries`. With `delete_messages`, it is
    noted that their messages are still to be deleted. After the commit, call `acquaintances.notify_missed`.
    """
    arrived = await _NOTIFY.fetch(connection, user_id=user_id)
    if not arrived:
        return None
    appended = notified(user_id, arrived)
    for sign_out in _SIGN_OUT:
        await sign_out.execute(connection, user_id=user_id)
    # Users are locked after inboxes, and after what refers to them.
    await _CLEAR_PROFILE.execute(
        connection, user_id=user_id, removed_at=appended.created_at, delete_messages=delete_messages
    )
    for drop in _DROP_INBOX:
        await drop.execute(connection, user_id=user_id)
    return replace(appended, positions={key: at for key, at in appended.positions.items() if key != user_id})


_FORGET_ENTRIES = Statement(
    text("""
    DELETE FROM inbox_entries
    WHERE user_id = :user_id AND NOT EXISTS (SELECT FROM inboxes WHERE inboxes.user_id = :user_id)
      AND position <= (
          SELECT max(position) FROM (
              SELECT position FROM inbox_entries WHERE user_id = :user_id ORDER BY position LIMIT :limit
          ) AS first
      )
""")
)


async def forget_entries(connection: Connection, user_id: UUID) -> bool:
    """Delete up to 1,000 entries that a removed user's inbox had. Return whether there may be more."""
    return await _FORGET_ENTRIES.execute(connection, user_id=user_id, limit=_ENTRIES) == _ENTRIES


_DELETE_MESSAGES = Statement(
    text("UPDATE users SET deletes_messages = true WHERE id = :user_id AND removed_at IS NOT NULL")
)


async def delete_messages(connection: Connection, user_id: UUID) -> bool:
    """Note that the messages of a removed user are to be deleted. Return False if there is no such user."""
    return await _DELETE_MESSAGES.execute(connection, user_id=user_id) == 1


_MESSAGES_DELETED = Statement(text("UPDATE users SET deletes_messages = false WHERE id = :user_id"))


async def note_messages_deleted(connection: Connection, user_id: UUID) -> None:
    """Note that all messages of a removed user have been deleted."""
    await _MESSAGES_DELETED.execute(connection, user_id=user_id)


# Each removed user is looked up in the inboxes: OFFSET keeps the planner from reading all entries instead.
_UNFINISHED = Statement(
    text("""
    SELECT id, deletes_messages FROM users
    WHERE removed_at IS NOT NULL AND (deletes_messages OR EXISTS (
        SELECT FROM inbox_entries WHERE user_id = users.id OFFSET 0
    ))
""")
)


async def unfinished(connection: Connection) -> Sequence[tuple[UUID, bool]]:
    """Return the removed users who still have entries or messages to delete, and whether they have messages.

    The statement reads all users.
    """
    return [(row["id"], row["deletes_messages"]) for row in await _UNFINISHED.fetch(connection)]

"""Editing and deleting messages."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from db import edits
from db.edits import LockedMessage
from db.records import Message
from realtime.hints import hints_of
from resolvers.content import check_content
from resolvers.context import Context
from resolvers.errors import UserError, UserErrorCode
from resolvers.messages import is_mine

_NO_SUCH_MESSAGE = "This message does not exist, or you are not part of its conversation."


def can_edit(context: Context, message: Message) -> bool:
    """Return whether the viewer can edit the message now. The clock is that of this process."""
    time_left = message.created_at + timedelta(seconds=context.rules.edit_seconds) - datetime.now(UTC)
    return can_delete(context, message) and context.rules.edit_seconds > 0 and time_left > timedelta(0)


def can_delete(context: Context, message: Message) -> bool:
    """Return whether the viewer can delete the message."""
    return message.deleted_at is None and is_mine(context, message)


async def update_message(
    context: Context, message_id: UUID | None, content: str, expected_version: int | None
) -> Message:
    """Give the viewer's message another text, and publish hints to the users whose inboxes got an entry.

    If the message already has this text, nothing changes, so an edit can be repeated. An edit counts as a
    sent message. A message ID that could not be decoded is None.

    Raises:
        UserError: the content cannot be stored, the viewer has no such message, it is another user's or has
            been deleted, it is too old, or it has another version than `expected_version`, which must be
            at least 1.
        RateLimited: the viewer has sent too many messages recently.
    """
    viewer = context.require_viewer()
    text = check_content(content)
    await context.limits.count_message(viewer.id)
    if message_id is None:
        raise _no_such_message()
    async with context.writing() as connection:
        locked = await edits.lock(connection, viewer.id, message_id)
        if locked is None:
            raise _no_such_message()
        if not is_mine(context, locked.message):
            raise _not_allowed("You can only edit your own messages.")
        if locked.message.content == text:
            return locked.message
        _check_edit(context, locked, expected_version)
        appended = await edits.edit(connection, message_id, text, actor=viewer.id)
    context.broadcaster.publish(hints_of(appended))
    return appended.message or locked.message


async def delete_message(context: Context, message_id: UUID | None) -> Message:
    """Delete the viewer's message, and publish hints to the users whose inboxes got an entry.

    It stays in its place without content. If it has already been deleted, nothing changes. A message ID that
    could not be decoded is None.

    Raises:
        UserError: the viewer has no such message, or it is another user's.
    """
    viewer = context.require_viewer()
    if message_id is None:
        raise _no_such_message()
    async with context.writing() as connection:
        locked = await edits.lock(connection, viewer.id, message_id)
        if locked is None:
            raise _no_such_message()
        message = locked.message
        if not is_mine(context, message):
            raise _not_allowed("You can only delete your own messages.")
        deleted = await edits.delete(connection, message.conversation_id, [message_id], actor=viewer.id)
    for appended in deleted:
        context.broadcaster.publish(hints_of(appended))
        message = appended.message or message
    return message


def _check_edit(context: Context, locked: LockedMessage, expected_version: int | None) -> None:
    """Check that the viewer's message can be edited.

    Raises:
        UserError: it cannot.
    """
    message, edit_seconds = locked.message, context.rules.edit_seconds
    # A later version than this may have been lost in a failover, so it is a conflict.
    if expected_version is not None and expected_version < 1:
        raise UserError(UserErrorCode.INVALID, "Versions begin with 1.", "expectedVersion")
    if message.deleted_at is not None and expected_version is None:
        raise _not_allowed("This message has been deleted, so it cannot be edited.")
    if message.deleted_at is not None:
        raise _conflict("This message has been deleted in the meantime, so it cannot be edited.", message)
    if expected_version not in (None, message.version):
        raise _conflict("This message has been edited in the meantime.", message)
    if edit_seconds == 0 or locked.age_seconds > edit_seconds:
        raise UserError(UserErrorCode.TOO_LATE, _too_late(edit_seconds), "messageId")


def _too_late(edit_seconds: int) -> str:
    if edit_seconds == 0:
        return "Messages cannot be edited here."
    return f"Messages can only be edited in the first {edit_seconds:,} seconds."


def _conflict(text: str, message: Message) -> UserError:
    return UserError(UserErrorCode.CONFLICT, text, "expectedVersion", message_row=message)


def _not_allowed(message: str) -> UserError:
    return UserError(UserErrorCode.NOT_ALLOWED, message, "messageId")


def _no_such_message() -> UserError:
    return UserError(UserErrorCode.NOT_FOUND, _NO_SUCH_MESSAGE, "messageId")

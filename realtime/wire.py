"""The text format of hints between processes, which may have different versions during a rolling upgrade.

A line is a JSON array that starts with the user's ID, at a fixed place. It has one of two forms:

    [user, position, message, conversation, seq, author, content, created]
    [user, "entry 2", position, kind, conversation | null, subject, actor | null, created]

The first is a new message that has not been changed since, in version 1. The second is any other entry, of
whatever kind. Later forms must also have a string with the kind and version as their second value. A process
that cannot decode a line wakes the streams of the user whose ID it starts with, which then read the log. An
ID alone also wakes them.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from db.entries import MESSAGE_CREATED, InboxEntry, milliseconds, moment_of
from db.records import Message
from realtime.hints import Hint
from realtime.subscribers import Subscribers

_ENTRY = "entry 2"


def encode(hint: Hint) -> str:
    """Return one line: JSON without line breaks."""
    entry = hint.entry
    message = entry.message
    if (
        entry.kind == MESSAGE_CREATED
        and message is not None
        and message.version == 1
        and message.deleted_at is None
    ):
        values = (
            hint.user_id.hex,
            entry.position,
            message.id.hex,
            message.conversation_id.hex,
            message.seq,
            message.author_id.hex,
            message.content,
            milliseconds(message.created_at),
        )
    else:
        values = (
            hint.user_id.hex,
            _ENTRY,
            entry.position,
            entry.kind,
            None if entry.conversation_id is None else entry.conversation_id.hex,
            entry.subject_id.hex,
            None if entry.actor_id is None else entry.actor_id.hex,
            milliseconds(entry.created_at),
        )
    return orjson.dumps(values).decode()


def decode(line: str | bytes) -> Hint:
    """Decode a line. The entry has its message only in the first form.

    Raises:
        ValueError: the line is not an encoded hint.
    """
    try:
        user_id, *values = orjson.loads(line)
        return Hint(UUID(user_id), _entry(values[1:]) if values[0] == _ENTRY else _new_message(values))
    except (TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"not a hint: {line!r:.80}") from error


def _new_message(values: Sequence[Any]) -> InboxEntry:
    position, message_id, conversation_id, seq, author_id, content, created = values
    message = Message(
        UUID(message_id), UUID(conversation_id), int(seq), UUID(author_id), str(content), moment_of(created)
    )
    return InboxEntry.of_message(int(position), message)


def _entry(values: Sequence[Any]) -> InboxEntry:
    position, kind, conversation_id, subject_id, actor_id, created = values
    return InboxEntry(
        int(position),
        int(kind),
        None if conversation_id is None else UUID(conversation_id),
        UUID(subject_id),
        None if actor_id is None else UUID(actor_id),
        moment_of(created),
    )


def offer(line: str, subscribers: Subscribers) -> None:
    """Offer the hint in the line to its user's subscribers, or wake them if it cannot be decoded.

    Raises:
        ValueError: the line does not start with a user's ID.
    """
    if not line.startswith("["):
        subscribers.wake(UUID(line[:32]))
        return
    user_id = UUID(line[2:34])
    # Most lines are for users without streams in this process, so the rest of the line is not parsed.
    if user_id not in subscribers.users():
        return
    try:
        hint = decode(line)
    except ValueError:
        subscribers.wake(user_id)
    else:
        subscribers.offer(hint)

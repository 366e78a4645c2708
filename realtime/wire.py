"""The text format of hints between processes, which may have different versions during a rolling upgrade.

A line is a JSON array that starts with the user's ID, at a fixed place. For a message in version 1, the
second value is a number. Later versions must use a string with the kind and version instead. A process that
cannot decode a line wakes the streams of the user whose ID it starts with, which then read the log. An ID
alone also wakes them.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson

from db.records import InboxEntry, Message
from realtime.hints import Hint
from realtime.subscribers import Subscribers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def encode(hint: Hint) -> str:
    """Return one line: JSON without line breaks."""
    message = hint.entry.message
    values = (
        hint.user_id.hex,
        hint.entry.position,
        message.id.hex,
        message.conversation_id.hex,
        message.seq,
        message.author_id.hex,
        message.content,
        (message.created_at - _EPOCH) // _MILLISECOND,
    )
    return orjson.dumps(values).decode()


def decode(line: str | bytes) -> Hint:
    """Decode a line.

    Raises:
        ValueError: the line is not an encoded hint.
    """
    try:
        user_id, position, message_id, conversation_id, seq, author_id, content, created = orjson.loads(line)
        message = Message(
            UUID(message_id),
            UUID(conversation_id),
            int(seq),
            UUID(author_id),
            str(content),
            _EPOCH + created * _MILLISECOND,
        )
        return Hint(UUID(user_id), InboxEntry(int(position), message))
    except (TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a hint: {line!r:.80}") from error


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

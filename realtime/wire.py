"""Hints as text between processes."""

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
    """Read a line back.

    Raises:
        ValueError: it is not one of ours.
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
    except (TypeError, AttributeError) as error:
        raise ValueError(f"no hint: {line!r:.80}") from error


def offer(line: str, subscribers: Subscribers) -> None:
    """Offer the subscribers what a line says: it is a hint, or as a wake-up the key alone.

    Raises:
        ValueError: it is not one of ours.
    """
    if not line.startswith("["):
        subscribers.wake(UUID(line))
    # Where everybody's hints come, most are for users whose streams are elsewhere: of those no more is read.
    elif UUID(line[2:34]) in subscribers.users():
        subscribers.offer(decode(line))

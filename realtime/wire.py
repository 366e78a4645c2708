"""Hints as text between processes."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson

from db.records import InboxEntry, Message
from realtime.hints import Hint

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


def user_of(line: str) -> UUID:
    """Return whom a line is for, without reading the rest of it.

    Raises:
        ValueError: it is not one of ours.
    """
    return UUID(line[2:34])


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

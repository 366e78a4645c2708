"""Hints in tests, of every kind."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import strategies as st

from db.entries import InboxEntry
from db.records import Message
from realtime.hints import Hint

moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
)
_positions = st.integers(1, 2**62)


def _new_message(
    position: int, ids: tuple[UUID, UUID, UUID], seq: int, content: str, moment: datetime
) -> InboxEntry:
    message_id, conversation_id, author_id = ids
    message = Message(message_id, conversation_id, seq, author_id, content, moment)
    return InboxEntry.of_message(position, message)


new_messages = st.builds(
    _new_message,
    _positions,
    st.tuples(st.uuids(), st.uuids(), st.uuids()),
    st.integers(1, 2**62),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=480),
    moments,
)
other_entries = st.builds(
    InboxEntry,
    _positions,
    st.integers(2, 2**15 - 1),
    st.none() | st.uuids(),
    st.uuids(),
    st.none() | st.uuids(),
    moments,
    st.none(),
)
hints = st.builds(Hint, st.uuids(), new_messages | other_entries)

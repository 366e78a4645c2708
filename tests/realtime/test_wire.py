"""The lines that carry hints between processes of different versions."""

from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from hypothesis import given

from db.entries import MESSAGE_DELETED, MESSAGE_UPDATED, USER_UPDATED, Appended, InboxEntry
from db.records import Message
from realtime import wire
from realtime.broadcaster import Broadcaster
from realtime.hints import Hint, hints_of
from realtime.subscribers import Subscribers
from tests.db import version_before
from tests.support.hints import hints, new_messages, other_entries

READER, FRIEND = UUID(int=1), UUID(int=2)
MOMENT = datetime(2026, 11, 28, 12, 30, 15, 250_000, tzinfo=UTC)
MESSAGE = Message(UUID(int=3), UUID(int=4), 17, FRIEND, 'Grüße, "Ada"\n', MOMENT)
LINE = (
    '["00000000000000000000000000000001",42,"00000000000000000000000000000003",'
    '"00000000000000000000000000000004",17,"00000000000000000000000000000002","Grüße, \\"Ada\\"\\n",'
    "1795869015250]"
)


@given(hints)
def test_a_hint_is_decoded_as_it_was_encoded(hint: Hint):
    line = wire.encode(hint)
    assert "\n" not in line
    assert wire.decode(line) == hint


def test_the_line_of_a_new_message_never_changes():
    hint = Hint(READER, InboxEntry.of_message(42, MESSAGE))
    assert wire.encode(hint) == LINE
    assert wire.decode(LINE) == hint


@given(new_messages)
def test_the_version_before_decodes_a_new_message(entry: InboxEntry):
    assert entry.message is not None
    line = wire.encode(Hint(READER, entry))
    assert version_before.decode(line) == (READER, entry.position, entry.message[:6])


@given(other_entries)
def test_the_version_before_rejects_any_other_entry_and_knows_whom_to_wake(entry: InboxEntry):
    line = wire.encode(Hint(READER, entry))
    with pytest.raises(ValueError):
        version_before.decode(line)
    assert UUID(line[2:34]) == READER


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (MESSAGE_UPDATED, MESSAGE._replace(version=2, edited_at=MOMENT, content="edited")),
        (MESSAGE_DELETED, MESSAGE._replace(version=3, deleted_at=MOMENT, content="")),
    ],
)
def test_the_text_of_a_message_that_has_changed_is_not_sent(kind: int, message: Message):
    appended = Appended(kind, message.conversation_id, message.id, FRIEND, MOMENT, {READER: 43}, message)
    [hint] = hints_of(appended)
    line = wire.encode(hint)
    assert orjson.loads(line) == [
        READER.hex, "entry 2", 43, kind, message.conversation_id.hex, message.id.hex, FRIEND.hex,
        1795869015250,
    ]  # fmt: skip
    assert wire.decode(line).entry == hint.entry._replace(message=None)


def test_a_new_message_that_has_been_edited_meanwhile_is_sent_without_its_text():
    entry = InboxEntry.of_message(42, MESSAGE._replace(version=2, edited_at=MOMENT))
    assert wire.decode(wire.encode(Hint(READER, entry))).entry == entry._replace(message=None)


def test_an_appended_entry_gives_each_user_a_hint_with_their_own_position():
    hints = hints_of(Appended(USER_UPDATED, None, FRIEND, FRIEND, MOMENT, {READER: 7, FRIEND: 1}))
    assert [(hint.user_id, hint.entry) for hint in hints] == [
        (READER, InboxEntry(7, USER_UPDATED, None, FRIEND, FRIEND, MOMENT)),
        (FRIEND, InboxEntry(1, USER_UPDATED, None, FRIEND, FRIEND, MOMENT)),
    ]


@pytest.mark.parametrize(
    "rest",
    [
        '"entry 3",{"position":7}]',
        '"entry 2",7,"not a kind",null,"00000000000000000000000000000003",null,0]',
        '"entry 2",7,2,null,null,null,0]',
        '"entry 2",7,2]',
        '7,"00000000000000000000000000000003"]',
        "]",
    ],
)
async def test_a_line_that_cannot_be_decoded_wakes_its_user(rest: str):
    broadcaster = Broadcaster(Subscribers())
    async with broadcaster.subscribe(READER) as subscriber, broadcaster.subscribe(FRIEND) as other:
        wire.offer(f'["{READER.hex}",{rest}', broadcaster.subscribers)
        assert await subscriber.next() is None
        assert not other.is_woken


def test_the_tag_of_an_entry_never_changes():
    """Cursors contain it, and may be kept for as long as the entries."""
    entry = InboxEntry.of_message(42, MESSAGE)
    assert entry.tag == 1795869015250 % 2**24 ^ 3
    # The first bytes of an ID are its time.
    assert entry._replace(subject_id=UUID(int=4)).tag != entry.tag


@given(hints)
def test_an_entry_has_the_same_tag_at_the_other_end(hint: Hint):
    tag = wire.decode(wire.encode(hint)).entry.tag
    assert tag == hint.entry.tag
    assert 0 <= tag < 2**24

"""Pages contain every element once; cursors are decoded as they were encoded, or rejected."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.cursors import InboxCursor, MalformedCursor
from resolvers.content import check_content, normalise
from resolvers.errors import BadUserInput, CursorInvalid, UserError, UserErrorCode
from resolvers.page_cursors import decode_page_cursor, encode_page_cursor
from resolvers.paging import asked_page

sizes = st.integers(1, 100)
positions = st.integers(0, 2**63 - 1)
tags = st.none() | st.integers(0, 2**24 - 1)
ADA = UUID(int=1)


@pytest.mark.parametrize(("first", "last"), [(0, None), (101, None), (None, -1), (None, 101), (5, 5)])
def test_a_page_size_out_of_range_is_rejected(first: int | None, last: int | None):
    with pytest.raises(BadUserInput, match=r"`(first|last)`"):
        asked_page(first=first, after=None, last=last, before=None)


@given(st.builds(InboxCursor, st.uuids(), positions, tags), st.uuids())
def test_an_inbox_cursor_is_decoded_for_its_user_as_it_was_encoded(cursor: InboxCursor, user: UUID):
    encoded = cursor.encode(user)
    assert InboxCursor.decode(encoded, user) == cursor
    assert len(encoded) == (44 if cursor.tag is None else 48)


@given(st.builds(InboxCursor, st.uuids(), positions, tags), st.integers(0, 47), st.characters())
def test_a_mistyped_inbox_cursor_is_rejected(place: InboxCursor, at: int, typed: str):
    cursor = place.encode(ADA)
    mistyped = cursor[:at] + typed + cursor[at + 1 :]
    if mistyped != cursor:
        with pytest.raises(MalformedCursor):
            InboxCursor.decode(mistyped, ADA)


@given(st.text())
def test_any_other_text_is_rejected_as_a_cursor(text: str):
    with pytest.raises(MalformedCursor):
        InboxCursor.decode(text, ADA)


@pytest.mark.parametrize("tag", [None, 0, 2**24 - 1])
def test_another_users_inbox_cursor_is_rejected(tag: int | None):
    with pytest.raises(MalformedCursor):
        InboxCursor.decode(InboxCursor(uuid4(), 7, tag).encode(ADA), UUID(int=2))


def test_an_inbox_cursor_without_a_tag_keeps_the_form_of_earlier_versions():
    cursor = "AAAAAAAAAAAAAAAAAAAABQAAAAAAAAAHrK6Yn_edgJLK"
    assert InboxCursor(UUID(int=5), 7).encode(ADA) == cursor
    assert InboxCursor.decode(cursor, ADA) == InboxCursor(UUID(int=5), 7, None)


@given(st.integers(1, 2**63 - 1))
def test_a_page_cursor_is_decoded_as_it_was_encoded(key: int):
    assert decode_page_cursor(encode_page_cursor(key), "after") == key


@given(st.text())
def test_a_page_cursor_has_only_one_spelling(text: str):
    try:
        key = decode_page_cursor(text, "before")
    except CursorInvalid as refusal:
        assert "`before`" in str(refusal)
    else:
        assert encode_page_cursor(key) == text


@given(st.text())
def test_normalising_content_again_changes_nothing(text: str):
    normalised = normalise(text)
    assert normalise(normalised) == normalised
    for line in normalised.split("\n"):
        assert line == " ".join(line.split())
    assert "\n\n" not in normalised


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        ("  hello \t  world  ", "hello world"),
        ("one\n\n \n  two", "one\ntwo"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\N{NO-BREAK SPACE}x\N{IDEOGRAPHIC SPACE}y", "x y"),
        ("e\N{COMBINING ACUTE ACCENT} 👩‍👩‍👧", "e\N{COMBINING ACUTE ACCENT} 👩‍👩‍👧"),
        ("x" * 480 + "   ", "x" * 480),
        ("\N{ZERO WIDTH SPACE}.", "\N{ZERO WIDTH SPACE}."),
        ("\N{COMBINING ACUTE ACCENT}", "\N{COMBINING ACUTE ACCENT}"),
    ],
)
def test_content_is_normalised_before_it_is_measured(content: str, stored: str):
    assert check_content(content) == stored


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", UserErrorCode.BLANK),
        (" \n\t\N{EM SPACE}", UserErrorCode.BLANK),
        ("\N{ZERO WIDTH SPACE}", UserErrorCode.BLANK),
        ("\N{RIGHT-TO-LEFT OVERRIDE} \N{HANGUL FILLER}\n\N{VARIATION SELECTOR-16}", UserErrorCode.BLANK),
        ("\N{BRAILLE PATTERN BLANK}\N{TAG SPACE}\x07", UserErrorCode.BLANK),
        ("\x01\x85\x9f", UserErrorCode.BLANK),
        ("x" * 481, UserErrorCode.TOO_LONG),
        ("nul\0", UserErrorCode.INVALID),
        ("half \ud83d", UserErrorCode.INVALID),
    ],
)
def test_invalid_content_is_a_user_error(content: str, code: UserErrorCode):
    with pytest.raises(UserError) as refused:
        check_content(content)
    assert refused.value.code is code
    assert refused.value.path == ["input", "content"]

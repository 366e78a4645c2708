"""Messages with invalid contents, keys and conversations, and with unusual but valid ones."""

import json
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from db.engine import Database
from db.tables import messages
from schema.node import NodeType
from tests.conftest import SignIn
from tests.hostile.sending import Conversation, asks, codes, sends, stored_in
from tests.support.people import Person
from tests.support.tables import tables

SEND = """
    mutation ($input: CreateMessageInput!) {
        createMessage(input: $input) { message { id content } userErrors { code path } }
    }
"""


async def tries_to_send(person: Person, content: str, to: object, **more: str) -> Any:
    """Return the message, or the error's code and field."""
    answer = await asks(person, SEND, {"input": {"conversationId": to, "content": content, **more}})
    assert codes(answer) == set()
    payload = answer.json()["data"]["createMessage"]
    if payload["message"] is not None:
        assert payload["userErrors"] == []
        return payload["message"]
    [error] = payload["userErrors"]
    assert error["path"][0] == "input"
    return error["code"], *error["path"][1:]


FAMILY = "👩\u200d👩\u200d👧"
LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
SPACES = "".join(char for char in map(chr, range(0x110000)) if char.isspace() and char not in LINE_BREAKS)


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        ("x" * 480, "x" * 480),
        ("🙂" * 480, "🙂" * 480),
        (FAMILY * 96, FAMILY * 96),
        ("e\u0301" * 240, "e\u0301" * 240),
        (" \n" * 5000 + "x" * 480 + "\t" * 5000, "x" * 480),
        ("a" + " " * 5000 + "b", "a b"),
        ("  one \t two \r\n\r\n \n  three  \n", "one two\nthree"),
        ("".join(f"a{char}b " for char in SPACES), " ".join(["a b"] * len(SPACES))),
        ("".join(f"a{char}" for char in LINE_BREAKS), "\n".join("a" * len(LINE_BREAKS))),
        ("a\u200b", "a\u200b"),
        ("\ufeff\u202ea\u2060", "\ufeff\u202ea\u2060"),
        ("\x01\x1b[31m\x7f", "\x01\x1b[31m\x7f"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("'; DROP TABLE messages; --", "'; DROP TABLE messages; --"),
        ("\U0010ffff\ufffe", "\U0010ffff\ufffe"),
    ],
)
async def test_a_message_is_stored_with_normalised_white_space(
    conversation: Conversation, database: Database, content: str, stored: str
):
    before = await stored_in(database, conversation)
    message = await tries_to_send(conversation.ada, content, conversation.id)
    assert message["content"] == stored
    assert await stored_in(database, conversation) == [*before, stored]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("x" * 481, "TOO_LONG"),
        ("🙂" * 481, "TOO_LONG"),
        (FAMILY * 96 + "x", "TOO_LONG"),
        ("x" * 200_000, "TOO_LONG"),
        ("\n".join("x" * 241), "TOO_LONG"),
        ("", "BLANK"),
        (" " * 10_000, "BLANK"),
        (SPACES + LINE_BREAKS, "BLANK"),
        ("\0", "INVALID"),
        ("hello\0", "INVALID"),
        ("\ud83d", "INVALID"),
        ("hello \ude42", "INVALID"),
        ("\ude42\ud83d", "INVALID"),
        ("\0" + "x" * 481, "INVALID"),
    ],
)
async def test_an_invalid_message_is_rejected_and_not_stored(
    conversation: Conversation, database: Database, content: str, code: str
):
    before = await stored_in(database, conversation)
    assert await tries_to_send(conversation.ada, content, conversation.id) == (code, "content")
    assert await stored_in(database, conversation) == before


async def test_an_escaped_surrogate_pair_is_one_character(conversation: Conversation):
    variables = '{"input": {"conversationId": "%s", "content": "\\ud83d\\ude42"}}'.replace(
        "%s", conversation.id
    )
    body = f'{{"query": {json.dumps(SEND)}, "variables": {variables}}}'
    answer = (await sends(conversation.ada.http, body, conversation.ada.headers)).json()
    assert answer["data"]["createMessage"]["message"]["content"] == "🙂"


async def test_an_idempotency_key_that_is_not_a_uuid_is_rejected_and_nothing_is_stored(
    conversation: Conversation, database: Database
):
    before = await stored_in(database, conversation)
    key = str(uuid4())
    for wrong in (
        "",
        "x",
        key[:-1],
        key + "0",
        f" {key}",
        f"{{{key}}}",
        f"urn:uuid:{key}",
        key[:-3] + "g00",
        "+" + key.replace("-", "")[1:],
        "0x" + key.replace("-", "")[2:],
        "1_" * 16,
        "\u0661" * 32,
        "\0" * 32,
        "\ud800" * 32,
        "7" * 100_000,
    ):
        refused = await tries_to_send(conversation.ada, "once", conversation.id, idempotencyKey=wrong)
        assert refused == ("INVALID", "idempotencyKey"), wrong[:100]
    assert await stored_in(database, conversation) == before


async def test_an_idempotency_key_belongs_to_one_text_conversation_and_author(
    conversation: Conversation, signs_in: SignIn, database: Database
):
    ada, key = conversation.ada, str(uuid4())
    before = await stored_in(database, conversation)
    other = await ada.opens_conversation_with(await signs_in("barbara"))
    first = await tries_to_send(ada, "once", conversation.id, idempotencyKey=key)
    again = await tries_to_send(ada, " once\n", conversation.id, idempotencyKey=key.upper())
    assert again == first
    taken = ("INVALID", "idempotencyKey")
    assert await tries_to_send(ada, "twice", conversation.id, idempotencyKey=key) == taken
    assert await tries_to_send(ada, "once", other, idempotencyKey=key) == taken
    assert await tries_to_send(ada, "once", "nowhere", idempotencyKey=key) == ("NOT_FOUND", "conversationId")
    of_grace = await tries_to_send(conversation.grace, "once", conversation.id, idempotencyKey=key)
    assert of_grace["id"] != first["id"]
    assert await stored_in(database, conversation) == [*before, "once", "once"]


async def test_messages_to_conversations_of_others_are_rejected(
    conversation: Conversation, signs_in: SignIn, database: Database
):
    async with tables(database) as connection:
        before = await connection.scalar(select(func.count()).select_from(messages))
    ada, eve = conversation.ada, await signs_in("eve")
    user = (await eve.asks("{ viewer { id } }"))["viewer"]["id"]
    nowhere: list[object] = [
        conversation.message,
        user,
        NodeType.CONVERSATION.encode(uuid4()),
        f"{conversation.id}=",
        f" {conversation.id}",
        f"{conversation.id}\n",
        conversation.id[:-1],
        conversation.id[1:],
        f"M{conversation.id[1:]}",
        conversation.id.lower(),
        "C",
        "",
        "\0",
        "\ud800",
        "C" * 100_000,
        7,
        str(uuid4()),
    ]
    for person, places in ((ada, nowhere), (eve, [conversation.id, *nowhere])):
        for place in places:
            refused = await tries_to_send(person, "hello", place)
            assert refused == ("NOT_FOUND", "conversationId"), place
    async with tables(database) as connection:
        assert await connection.scalar(select(func.count()).select_from(messages)) == before

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import SignIn


@pytest.fixture
async def known(signs_in: SignIn) -> Mapping[str, Sequence[Any]]:
    """Return the choices for arguments: IDs of a user with two conversations, and IDs that do not exist."""
    ada, grace, alan = await signs_in("ada"), await signs_in("grace"), await signs_in("alan")
    conversations = [await ada.opens_conversation_with(each) for each in (grace, alan)]
    messages = [
        (await author.sends(text, to=conversations[number]))["id"]
        for number, author, text in ((0, ada, "one"), (0, grace, "two"), (1, alan, "three"), (0, ada, "four"))
    ]
    ids = [*conversations, *messages, "nonsense", "C" + "A" * 22]
    return {
        "id": ids,
        "ids": [[one, two] for one in ids for two in ids] + [[]],
        "username": [ada.username, grace.username, "nobody"],
        "search": ["ada", "gra", ""],
        "conversationId": [*conversations, "nonsense"],
        "upToMessageId": [*messages, None],
        "sessionId": ["nonsense"],
        "content": ["hello", "", "x" * 481],
        "idempotencyKey": [str(uuid4()) for _ in range(3)] + ["nonsense"],
        "avatarUrl": [None, "https://example.com/a.png", "http://example.com/a.png"],
    }

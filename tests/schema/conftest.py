"""Shared by the tests of the API."""

import pytest

from db.engine import Database
from tests.conftest import SignIn
from tests.schema.own_messages import Talk


@pytest.fixture
async def talk(signs_in: SignIn, database: Database) -> Talk:
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    sent = await ada.sends("hello", to=conversation)
    return Talk(ada, grace, conversation, sent["id"], database)

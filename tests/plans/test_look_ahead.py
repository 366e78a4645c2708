"""Reading ahead changes no answer, and a page is read in one statement whatever it shows."""

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest

from db.engine import Database
from execution.api import Api
from plans import LookAhead
from tests.conftest import Noted, SignIn
from tests.plans.documents import Document
from tests.plans.documents_of_the_api import answer_to, errors_of, executable, user_of


async def test_queries_have_the_same_answer_whether_or_not_they_are_read_ahead(
    database: Database, known: Mapping[str, Sequence[Any]], monkeypatch: pytest.MonkeyPatch
):
    viewer = await user_of(database, known["username"][0])
    # Plans keep what they have looked ahead to.
    blind = Api()
    for seed in range(1000, 1150):
        document = await executable(Random(seed), values=known)
        answer = await answer_to(document, database, viewer)
        with monkeypatch.context() as patched:
            patched.setattr(LookAhead, "fields", {})
            reference = await answer_to(document, database, viewer, blind)
        assert json.dumps(answer.get("data")) == json.dumps(reference.get("data")), document
        assert errors_of(answer) == errors_of(reference), document


USER = "{ id username avatarUrl removedAt }"
MESSAGE = f"""
    id content createdAt version editedAt deletedAt mine viewerCanEdit viewerCanDelete readByOthers
    idempotencyKey author {USER} readBy {USER} conversation {{ id unreadCount }}
"""
CONVERSATION = f"""
    id unreadCount hasUnreadMessages participants {USER} otherParticipant {USER} lastMessage {{ {MESSAGE} }}
"""
PAGE_INFO = "pageInfo { hasPreviousPage hasNextPage startCursor endCursor }"


@pytest.mark.parametrize(
    "query",
    [
        f"{{ viewer {USER} }}",
        f'{{ user(username: "ada") {USER} }}',
        f'{{ searchUsers(search: "a") {USER} }}',
        "{ inboxCursor }",
        "{ unread { conversations messages } }",
        f"{{ conversations {{ edges {{ cursor node {{ {CONVERSATION} }} }} {PAGE_INFO} }} }}",
        "{ conversations { edges { node { id } } } }",
        "{ conversations(first: 1) { edges { node { ...shown } } } }"
        " fragment shown on Conversation { a: lastMessage { id } b: lastMessage { author { id } } }",
        f"query ($id: ID!) {{ conversation(id: $id) {{ {CONVERSATION} }} }}",
        f"""
            query ($id: ID!) {{
                conversation(id: $id) {{
                    {CONVERSATION}
                    messages(last: 3) {{ edges {{ cursor node {{ {MESSAGE} }} }} {PAGE_INFO} }}
                }}
            }}
        """,
        f"""
            query ($id: ID!, $size: Int = 2) {{
                conversation(id: $id) {{ page: messages(first: $size) {{ {PAGE_INFO} }} }}
            }}
        """,
    ],
)
async def test_a_query_is_read_in_one_statement_without_a_transaction(
    noted: Noted, signs_in: SignIn, monkeypatch: pytest.MonkeyPatch, query: str
):
    database, statements = noted
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation_id = await ada.opens_conversation_with(grace)
    for author in (ada, grace, ada, grace):
        await author.sends("hello", to=conversation_id)
    viewer = await user_of(database, ada.username)
    monkeypatch.setattr(Database, "snapshot", None)
    statements.clear()
    variables = {"id": conversation_id} if "$id" in query else {}
    answer = await answer_to(Document(query, variables), database, viewer)
    assert "errors" not in answer
    assert len(statements) == 1, statements

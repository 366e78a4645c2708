"""The API gives the same answers with plans as graphql-core does without them, on real data."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from graphql import build_schema

from db import users
from db.engine import Database
from db.records import User
from execution.answers import Answer
from execution.api import Api
from execution.limits import DocumentTooComplex
from execution.operation import PreparedOperation
from realtime.broadcaster import Broadcaster
from resolvers.context import Context
from tests.conftest import SignIn
from tests.plans.documents import Document, document_from

API = Api()
SCHEMA = build_schema(API.sdl())


class Both:
    """Executes documents with and without a plan."""

    def __init__(self, database: Database, viewer: User | None, monkeypatch: pytest.MonkeyPatch) -> None:
        self._database = database
        self._viewer = viewer
        self._monkeypatch = monkeypatch

    async def agree_on(self, document: Document) -> Answer:
        planned = await self.answer(document)
        with self._monkeypatch.context() as patched:
            patched.setattr(PreparedOperation, "bind", unplanned)
            reference = await self.answer(document)
        # Compare fields in their order; the order of errors does not matter.
        assert json.dumps(planned.get("data")) == json.dumps(reference.get("data")), document
        if planned.get("data") is not None:
            assert errors_of(planned) == errors_of(reference), document
        else:
            # If several errors make the whole response null, any one of them may be reported.
            assert ("errors" in planned) == ("errors" in reference)
        return planned

    async def answer(self, document: Document) -> Answer:
        async with Context(self._database, Broadcaster(), viewer=self._viewer) as context:
            return await API.execute(
                await API.operation(document.text, None, document.variables, "a request"), context
            )


def unplanned(_operation: PreparedOperation, _variables: Mapping[str, Any]) -> None:
    """Leave the document to graphql-core."""


def errors_of(answer: Answer) -> list[str]:
    return sorted(json.dumps(error, sort_keys=True) for error in answer.get("errors", ()))


async def executable(random: Random, operation: str = "query", **more: Any) -> Document:
    """Return a document that is valid, within the limits, and executed by a plan."""
    while True:
        document = document_from(random, SCHEMA, operation, **more)
        with suppress(DocumentTooComplex):
            prepared = await API.prepare(document.text)
            if not prepared.errors and prepared.operation(None).bind(document.variables) is not None:
                return document


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


async def user_of(database: Database, username: str) -> User:
    async with database.snapshot() as connection:
        user = await users.by_username(connection, username)
    assert user is not None
    return user


async def test_queries_have_the_same_answer_with_and_without_a_plan(
    database: Database, known: Mapping[str, Sequence[Any]], monkeypatch: pytest.MonkeyPatch
):
    both = Both(database, await user_of(database, known["username"][0]), monkeypatch)
    failed = 0
    for seed in range(150):
        answer = await both.agree_on(await executable(Random(seed), values=known))
        failed += "errors" in answer
    assert 10 < failed < 140, "nearly all of them fail, or none: nothing much is compared"


async def test_unauthenticated_queries_have_the_same_answer_with_and_without_a_plan(
    database: Database, known: Mapping[str, Sequence[Any]], monkeypatch: pytest.MonkeyPatch
):
    both = Both(database, None, monkeypatch)
    for seed in range(30):
        await both.agree_on(await executable(Random(seed), values=known))


async def test_repeatable_mutations_have_the_same_answer_with_and_without_a_plan(
    database: Database, known: Mapping[str, Sequence[Any]], monkeypatch: pytest.MonkeyPatch
):
    both = Both(database, await user_of(database, known["username"][0]), monkeypatch)
    # Repeating these does not change stored data: messages have keys, and read marks do not move back.
    repeatable = {"createMessage", "readMessages", "createConversation", "endSession"}
    compared = 0
    for seed in range(80):
        document = await executable(Random(seed), "mutation", only=repeatable, values=known)
        keys = len(re.findall(r"""idempotencyKey'?: ["']""", f"{document.text} {document.variables}"))
        if document.text.count("createMessage") <= keys:
            compared += 1
            # Calls that only work once are made beforehand.
            await both.answer(document)
            await both.agree_on(document)
    assert compared > 20

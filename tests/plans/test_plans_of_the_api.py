"""The API gives the same answers with plans as graphql-core does without them, on real data."""

import json
import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest

from db.engine import Database
from db.records import User
from execution.answers import Answer
from execution.operation import PreparedOperation
from tests.plans.documents import Document
from tests.plans.documents_of_the_api import answer_to, errors_of, executable, user_of


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
        return await answer_to(document, self._database, self._viewer)


def unplanned(_operation: PreparedOperation, _variables: Mapping[str, Any]) -> None:
    """Leave the document to graphql-core."""


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

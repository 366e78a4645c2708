"""Earlier revisions take part in the comparisons that they can answer, with the same requests."""

from collections.abc import Mapping

import pytest

from bench import documents
from bench.comparisons import Scale, comparisons, with_earlier
from bench.measuring import Span
from bench.speech import GraphQL
from bench.subjects import EARLIER, MESSENGER
from tests.bench.stand_ins import PAIR, POPULATION

ALL = comparisons(POPULATION, Scale(Span(0, 1)))
ANSWERED: Mapping[str, str | None] = {document: document for document in documents.ALL}


@pytest.mark.parametrize(
    "name",
    [
        *(f"createMessage, {callers}" for callers in ("1 caller", "16 callers", "64 callers")),
        "createMessage and readMessages in turn, 16 callers",
        "page of 25 of 1,000 conversations",
        "page of 25 of 1,000 messages",
        "deliveries, 1,000 streams of one user",
        "createMessage and delivery, 1,000 users",
        "10,000 idle streams, then all cut at once",
        "replay of 10,000 entries: messages",
    ],
)
def test_two_versions_are_compared_with_each_other_alone(name: str):
    compared, left_out = with_earlier(ALL, ANSWERED)
    assert {each.name: each.subjects for each in compared}[name] == (MESSENGER, EARLIER)
    assert left_out == []


def test_what_the_earlier_version_cannot_answer_is_left_out():
    forms = {**ANSWERED, documents.INBOX_EVENTS: None, documents.READ_MESSAGES: None}
    compared, left_out = with_earlier(ALL, forms)
    assert [each.name for each in left_out] == [
        "createMessage and readMessages in turn, 16 callers",
        "replay of 10,000 entries: messages",
    ]
    assert not {each.name for each in compared} & {each.name for each in left_out}


def test_both_versions_are_sent_the_form_that_the_earlier_one_can_answer():
    speech = GraphQL(plain_ids=False, resumes=True, forms={documents.MESSAGES: "{ known }"})
    assert b'"query":"{ known }"' in speech.page_of_messages(PAIR, 25)
    assert b"unreadCount" in speech.page_of_conversations(PAIR.one, 25)

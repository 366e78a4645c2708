"""An earlier version of the messenger is sent what its schema can answer."""

import pytest
from graphql import build_schema, parse, print_ast

from bench import documents
from bench.answerable import forms
from tests.support.checkout import ROOT

EARLIER = build_schema("""
    type Query { conversation(id: ID!): Conversation }
    type Conversation { id: ID! messages(last: Int): [Message!]! }
    type Message { id: ID! content: String! }
    union InboxEvent = MessageCreated
    type MessageCreated { message: Message! }
    type Subscription { inboxEvents: InboxEvent }
""")


def test_the_schema_answers_every_document_of_the_benchmark():
    schema = build_schema((ROOT / "graphql" / "schema.graphql").read_text())
    assert forms(documents.ALL, schema) == {document: document for document in documents.ALL}


@pytest.mark.parametrize(
    ("document", "form"),
    [
        ("{ conversation(id: 1) { id topic } }", "{ conversation(id: 1) { id } }"),
        ("{ conversation(id: 1) { id owner { id } } }", "{ conversation(id: 1) { id } }"),
        (
            "{ conversation(id: 1) { id messages { kind } } }",
            "{ conversation(id: 1) { id } }",
        ),
        (
            """subscription { inboxEvents {
                __typename
                ... on MessageCreated { message { id kind } }
                ... on MessagePinned { message { id } }
            } }""",
            "subscription { inboxEvents { __typename ... on MessageCreated { message { id } } } }",
        ),
    ],
)
def test_unknown_fields_and_types_are_left_out(document: str, form: str):
    [found] = forms([document], EARLIER).values()
    assert found == print_ast(parse(form))


@pytest.mark.parametrize(
    "document",
    [
        "{ topics { id } }",
        "{ conversation(id: 1) { topic } }",
        "{ conversation(id: 1, old: true) { id } }",
        "query ($first: Int!) { conversation(id: 1) { id topics(first: $first) { id } } }",
        'mutation { createMessage(content: "a") { id } }',
    ],
)
def test_a_document_of_which_nothing_can_be_asked_has_no_form(document: str):
    assert forms([document], EARLIER) == {document: None}

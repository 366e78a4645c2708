"""Rejected documents are validated once, and their cache entries are small."""

import pytest
from graphql import GraphQLError

from execution.api import Api
from execution.budgets import Budget
from execution.documents import DocumentMalformed
from execution.limits import DocumentTooComplex
from resolvers.errors import RateLimited


class NoNewDocuments(Budget):
    """A budget that does not allow new documents."""

    def check(self) -> None:
        raise RateLimited("A document is new.", 1)

    def take(self, work: int) -> int:
        raise AssertionError

    def take_bytes(self, count: int) -> None:
        raise AssertionError

    def charge(self, work: float) -> None:
        raise AssertionError

    async def wait_for(self, work: int) -> int:
        raise AssertionError


class RecordingBudget(NoNewDocuments):
    """A budget that records its charges."""

    def __init__(self) -> None:
        self.drawn = 0.0

    def check(self) -> None:
        pass

    def charge(self, work: float) -> None:
        self.drawn += work


REJECTED = {
    "malformed": "{ viewer { id } } {",
    "malformed and large": "{ viewer { id } } " + "# comment \n" * 20_000 + "(",
    "too complex": "{ " + " ".join(f"a{number}: __typename" for number in range(500)) + " }",
    "nested too deeply": "{ viewer " * 2000 + "}" * 2000,
    "invalid": "query A { nothing } query B { viewer { nothing } }",
    "invalid and large": "{ nothing " + "__typename " * 90 + "}" + " " * 200_000,
    "with a long name": "{ " + "n" * 200_000 + " }",
}


def rejection(api: Api, text: str, budget: Budget) -> object:
    try:
        document = api.prepare(text, budget)
    except DocumentMalformed as error:
        return [error.error.formatted]
    except DocumentTooComplex as error:
        return str(error)
    assert document.errors
    assert document.node.loc is None, "the text is kept"
    return [error.formatted for error in document.errors], set(document.operations)


@pytest.mark.parametrize("text", REJECTED.values(), ids=REJECTED.keys())
def test_a_rejected_document_is_validated_once(text: str):
    api, budget = Api(), RecordingBudget()
    first = rejection(api, text, budget)
    assert budget.drawn > 0
    assert rejection(api, text, NoNewDocuments()) == first
    with pytest.raises(RateLimited):
        api.prepare(text + " ", NoNewDocuments())


def test_a_valid_document_is_validated_once():
    api, budget = Api(), RecordingBudget()
    document = api.prepare("{ viewer { id } }", budget)
    assert budget.drawn > 0
    assert api.prepare("{ viewer { id } }", NoNewDocuments()) is document


def test_the_cost_of_variables_of_one_size_is_computed_once():
    api, budget = Api(), RecordingBudget()
    document = "query ($first: Int!) { conversations(first: $first) { edges { cursor } } }"

    def cost(first: int, budget: Budget) -> int:
        return api.operation(document, None, {"first": first}, "request", budget).cost

    assert cost(7, budget) == 2 + 7
    drawn = budget.drawn
    assert cost(8, budget) == 2 + 8
    assert budget.drawn > drawn
    assert cost(7, NoNewDocuments()) == 2 + 7
    with pytest.raises(RateLimited):
        cost(9, NoNewDocuments())


def test_rejected_documents_do_not_evict_valid_ones():
    api = Api()
    document = api.prepare("{ viewer { id } }")
    for number in range(2000):
        assert api.prepare(f"{{ nothing{number} {'__typename ' * 50} }}").errors
    assert api.prepare("{ viewer { id } }", NoNewDocuments()) is document


def test_a_cached_error_does_not_reference_large_objects():
    for text in ("{ nothing }", "{ viewer { id } } {"):
        api = Api()
        try:
            [error] = api.prepare(text).errors
        except DocumentMalformed as malformed:
            error = malformed.error
        assert isinstance(error, GraphQLError)
        assert (error.source, error.nodes, error.original_error) == (None, None, None)
        assert error.locations


@pytest.mark.parametrize(
    "document",
    [
        "mutation { createMessage(input: {%s}) { message { id } } }",
        "mutation ($input: CreateMessageInput! = {%s}) { createMessage(input: $input) { message { id } } }",
    ],
)
def test_errors_quote_little_of_an_object_with_a_thousand_unknown_fields(document: str):
    """Each of its errors quotes the object, which is printed only as far as it is quoted."""
    unknown = " ".join(f"unknown{number}: 1" for number in range(1000))
    errors = Api().prepare(document % unknown).errors
    assert 1 < len(errors) <= 21
    assert all(len(error.message) < 400 for error in errors)
    assert any("unknown0: 1" in error.message for error in errors)


def test_an_operation_keeps_only_the_variables_that_it_declares():
    document = "query ($id: ID!) { node(id: $id) { id } }"
    operation = Api().operation(document, None, {"id": "a", "other": [[]] * 1000}, "request")
    assert operation.variables == {"id": "a"}

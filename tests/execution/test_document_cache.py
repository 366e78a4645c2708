"""Rejected documents are validated once, and their cache entries are small."""

import pytest
from graphql import GraphQLError

from execution.api import Api
from execution.budgets import Budget
from execution.documents import DocumentMalformed
from execution.limits import DocumentTooComplex
from resolvers.errors import RateLimited
from tests.support.budgets import NoNewDocuments, RecordingBudget

REJECTED = {
    "malformed": "{ viewer { id } } {",
    "malformed and large": "{ viewer { id } } " + "# comment \n" * 20_000 + "(",
    "too complex": "{ " + " ".join(f"a{number}: __typename" for number in range(500)) + " }",
    "nested too deeply": "{ viewer " * 2000 + "}" * 2000,
    "invalid": "query A { nothing } query B { viewer { nothing } }",
    "invalid and large": "{ nothing " + "__typename " * 90 + "}" + " " * 200_000,
    "with a long name": "{ " + "n" * 200_000 + " }",
}


async def rejection(api: Api, text: str, budget: Budget) -> object:
    try:
        document = await api.prepare(text, budget)
    except DocumentMalformed as error:
        return [error.error.formatted]
    except DocumentTooComplex as error:
        return str(error)
    assert document.errors
    assert document.node.loc is None, "the text is kept"
    return [error.formatted for error in document.errors], set(document.operations)


@pytest.mark.parametrize("text", REJECTED.values(), ids=REJECTED.keys())
async def test_a_rejected_documentis_validated_once(text: str):
    api, budget = Api(), RecordingBudget()
    first = await rejection(api, text, budget)
    assert budget.drawn > 0
    assert await rejection(api, text, NoNewDocuments()) == first
    with pytest.raises(RateLimited):
        await api.prepare(text + " ", NoNewDocuments())


async def test_a_valid_documentis_validated_once():
    api, budget = Api(), RecordingBudget()
    document = await api.prepare("{ viewer { id } }", budget)
    assert budget.drawn > 0
    assert await api.prepare("{ viewer { id } }", NoNewDocuments()) is document


async def test_the_cost_of_variables_of_one_size_is_computed_once():
    api, budget = Api(), RecordingBudget()
    document = "query ($first: Int!) { conversations(first: $first) { edges { cursor } } }"

    async def cost(first: int, budget: Budget) -> int:
        operation = await api.operation(document, None, {"first": first}, "request", budget)
        return operation.cost

    assert await cost(7, budget) == 2 + 7
    drawn = budget.drawn
    assert await cost(8, budget) == 2 + 8
    assert budget.drawn > drawn
    assert await cost(7, NoNewDocuments()) == 2 + 7
    with pytest.raises(RateLimited):
        await cost(9, NoNewDocuments())


async def test_rejected_documents_do_not_evict_valid_ones():
    api = Api()
    document = await api.prepare("{ viewer { id } }")
    for number in range(2000):
        rejected = await api.prepare(f"{{ nothing{number} {'__typename ' * 50} }}")
        assert rejected.errors
    assert await api.prepare("{ viewer { id } }", NoNewDocuments()) is document


async def test_a_cached_error_does_not_reference_large_objects():
    for text in ("{ nothing }", "{ viewer { id } } {"):
        api = Api()
        try:
            [error] = (await api.prepare(text)).errors
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
async def test_errors_quote_little_of_an_object_with_a_thousand_unknown_fields(document: str):
    """Each of its errors quotes the object, which is printed only as far as it is quoted."""
    unknown = " ".join(f"unknown{number}: 1" for number in range(1000))
    errors = (await Api().prepare(document % unknown)).errors
    assert 1 < len(errors) <= 21
    assert all(len(error.message) < 400 for error in errors)
    assert any("unknown0: 1" in error.message for error in errors)


async def test_an_operation_keeps_only_the_variables_that_it_declares():
    document = "query ($id: ID!) { node(id: $id) { id } }"
    operation = await Api().operation(document, None, {"id": "a", "other": [[]] * 1000}, "request")
    assert operation.variables == {"id": "a"}

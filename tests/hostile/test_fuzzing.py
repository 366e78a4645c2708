"""Every query and mutation as schemathesis generates them, by a user with data and without authentication."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from tests.hostile.sending import INSIDES, Conversation, codes, sends
from tests.support.frontends import GRAPHQL
from tests.support.people import Person

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
ACCEPTS = st.sampled_from([JSON, GRAPHQL_JSON])

WHAT_ADA_HAS = """
    {
        viewer { id username }
        sessions { id current }
        inboxCursor
        conversations {
            edges {
                cursor
                node { id otherParticipant { id username } messages { edges { cursor node { id } } } }
            }
        }
    }
"""


CODES = {"BAD_USER_INPUT", "CURSOR_INVALID", "TOO_COMPLEX"}

Fields = Mapping[str, Mapping[GenerationMode, st.SearchStrategy[Any]]]


def fields(**config: object) -> Fields:
    """Return a strategy for valid and invalid requests, for each root field of the schema."""
    # Its types are incomplete.
    made: Any = cast(Any, SchemathesisConfig).from_dict({"base-url": "http://localhost", **config})
    schema = cast(Any, schemathesis.graphql).from_path(GRAPHQL / "schema.graphql", config=made)
    return {
        each.ok().label: {mode: each.ok().as_strategy(generation_mode=mode) for mode in GenerationMode}
        for each in schema.get_all_operations()
    }


def strings_in(answer: object) -> Iterator[str]:
    if isinstance(answer, str):
        yield answer
    elif isinstance(answer, dict | list):
        within = cast("dict[str, object] | list[object]", answer)
        for each in within.values() if isinstance(within, dict) else within:
            yield from strings_in(each)


@pytest.fixture(scope="module")
async def fields_of_ada(conversation: Conversation) -> Fields:
    """The root fields; half of their arguments come from Ada's own data or are valid sizes."""
    await conversation.grace.sends("hello yourself", to=conversation.id)
    has = await conversation.ada.asks(WHAT_ADA_HAS)
    # It would end Ada's session.
    has["sessions"] = [session for session in has["sessions"] if not session["current"]]
    known = [*strings_in(has)]
    return fields(
        dictionaries={"known": {"values": known}, "sizes": {"values": [1, 2, 100]}},
        generation={
            "dictionaries": {
                "string": {"dictionary": "known", "probability": 0.5},
                "integer": {"dictionary": "sizes", "probability": 0.5},
            }
        },
    )


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    )


async def answer_to(case: Any, person: Person, accept: str, headers: Mapping[str, str]) -> set[str]:
    """Return the codes of the answer to a generated request; the answer must be well-formed."""
    # An answer may repeat values of the request.
    assume(not INSIDES.search(str(case.body)))
    body = json.dumps({"query": case.body})
    response = await sends(person.http, body, {**headers, "accept": accept})
    answer = response.json()
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"
    assert set(answer) <= {"data", "errors"}
    assert answer.get("errors") != []
    for error in answer.get("errors", ()):
        assert error["message"]
        assert set(error) <= {"message", "locations", "path", "extensions"}
    found = codes(response)
    was_executed = "data" in answer
    refused_first = found == {"TOO_COMPLEX"} or (accept == GRAPHQL_JSON and not was_executed)
    assert response.status_code == (400 if refused_first else 200)
    # Valid requests are executed unless they cost too much; invalid ones are not.
    assert was_executed == (case.meta.generation.mode.is_positive and found != {"TOO_COMPLEX"})
    return found


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("field", fields())
@bounded(40)
@given(data=st.data())
async def test_every_request_of_a_user_is_answered(
    conversation: Conversation,
    fields_of_ada: Fields,
    field: str,
    mode: GenerationMode,
    data: st.DataObject,
):
    case, accept = data.draw(fields_of_ada[field][mode]), data.draw(ACCEPTS)
    found = await answer_to(case, conversation.ada, accept, conversation.ada.headers)
    assert found <= CODES


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("field", fields())
@bounded(10)
@given(data=st.data())
async def test_no_request_without_authentication_is_answered(
    conversation: Conversation,
    fields_of_ada: Fields,
    field: str,
    mode: GenerationMode,
    data: st.DataObject,
):
    case, accept = data.draw(fields_of_ada[field][mode]), data.draw(ACCEPTS)
    found = await answer_to(case, conversation.ada, accept, {})
    if found != {"BAD_USER_INPUT"} and field not in {"Query.viewer", "Query.serverInfo"}:
        assert found == {"UNAUTHENTICATED"}

"""A page names its user, and none of its requests is executed for another user."""

from collections.abc import Callable

import httpx
import pytest

from tests.conftest import SignIn
from tests.server.sign_in.signing_in import COOKIE, bearer, cookie
from tests.support.people import CREATE_MESSAGE, MESSAGE_CREATED, Person

VIEWER = "{ viewer { id } }"


async def id_of(person: Person) -> str:
    return (await person.asks(VIEWER))["viewer"]["id"]


@pytest.mark.parametrize("carry", [bearer, cookie], ids=["token", "cookie"])
async def test_a_request_for_another_user_is_rejected(
    http: httpx.AsyncClient, signs_in: SignIn, carry: Callable[[str], dict[str, str]]
):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    message = {"conversationId": conversation, "content": "from Grace's page"}
    requests = [
        {"query": VIEWER},
        {"query": CREATE_MESSAGE, "variables": {"input": {**message, "idempotencyKey": "one"}}},
        {"query": MESSAGE_CREATED},
    ]
    # The cookie is Ada's by now.
    headers = {**carry(ada.token), "messenger-viewer": await id_of(grace), "accept": "text/event-stream"}
    for request in requests:
        response = await http.post("/graphql", json=request, headers=headers)
        assert "UNAUTHENTICATED" in response.text, request
    stored = "query ($id: ID!) { conversation(id: $id) { messages { edges { node { id } } } } }"
    assert (await ada.asks(stored, id=conversation))["conversation"]["messages"]["edges"] == []


async def test_a_request_for_the_user_of_the_cookie_is_answered(http: httpx.AsyncClient, signs_in: SignIn):
    ada = await signs_in("ada")
    headers = {"cookie": f"{COOKIE}={ada.token}", "messenger-viewer": await id_of(ada)}
    response = await http.post("/graphql", json={"query": VIEWER}, headers=headers)
    assert response.json()["data"]["viewer"]["id"] == headers["messenger-viewer"]


async def test_a_page_learns_that_its_user_has_signed_out(http: httpx.AsyncClient, signs_in: SignIn):
    headers = {"messenger-viewer": await id_of(await signs_in("ada"))}
    response = await http.post("/graphql", json={"query": VIEWER}, headers=headers)
    assert response.json() == {"data": {"viewer": None}}

"""The maximum cost of a query: it limits what is executed, and is reported on request."""

from pathlib import Path
from typing import Any

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import SignIn
from tests.support.clients import http_client
from tests.support.people import Person
from tests.support.serving import running_server

VIEWER = {"query": "{ viewer { username } }"}
CONVERSATIONS = """
    query ($first: Int! = 10, $last: Int) {
        conversations(first: $first) {
            edges {
                node { id participants { username } messages(last: $last) { edges { node { content } } } }
            }
        }
    }
"""


async def cost(person: Person, document: str, **variables: Any) -> int:
    body = {"query": document, "variables": variables, "extensions": {"cost": True}}
    answer = (await person.http.post("/graphql", json=body, headers=person.headers)).json()
    assert set(answer["extensions"]["cost"]) == {"requested", "maximum"}
    assert answer["extensions"]["cost"]["maximum"] == 125_000
    return answer["extensions"]["cost"]["requested"]


async def test_the_cost_of_a_query_follows_from_its_page_sizes(signs_in: SignIn):
    ada = await signs_in("ada")
    assert await cost(ada, "{ viewer { username } }") == 2
    # A node, its ID, its participants with at most five names, and its messages with their edges.
    each = 1 + 1 + (1 + 5) + 2
    assert await cost(ada, CONVERSATIONS) == 2 + 10 * (each + 25 * 2)
    assert await cost(ada, CONVERSATIONS, first=1, last=1) == 2 + 1 * (each + 1 * 2)
    assert await cost(ada, CONVERSATIONS, first=100, last=100) == 2 + 100 * (each + 100 * 2)
    assert await cost(ada, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 7) == 1 + 7
    assert await cost(ada, '{ nodes(ids: ["x", "y"]) { id } }') == 1 + 2
    assert await cost(ada, '{ nodes(ids: "x") { id } }') == 1 + 1
    assert await cost(ada, '{ searchUsers(search: "a") { id username } }') == 1 + 5 * 2
    paged = "{ conversations(first: 7) { ...P } } fragment P on ConversationConnection { edges { cursor } }"
    assert await cost(ada, paged) == 2 + 7
    fragments = "fragment F on User { username } { a: viewer { ...F } b: viewer { ...F ... { id } } }"
    assert await cost(ada, fragments) == 5


async def test_the_cost_is_reported_only_on_request(signs_in: SignIn):
    ada = await signs_in("ada")
    for extensions in (None, {}, {"cost": False}, {"cost": "yes"}):
        body = {**VIEWER, "extensions": extensions}
        answer = (await ada.http.post("/graphql", json=body, headers=ada.headers)).json()
        assert set(answer) == {"data"}


PAGES_IN_PAGES = """
    query ($n: Int!) {
        conversations(first: $n) { edges { node { messages(last: $n) { edges { node { conversation {
            messages(last: $n) { edges { node { content } } }
        } } } } } } }
    }
"""


async def test_a_query_that_costs_too_much_is_rejected_before_execution(signs_in: SignIn):
    ada = await signs_in("ada")
    await cost(ada, PAGES_IN_PAGES, n=10)
    for document, variables in (
        (PAGES_IN_PAGES, {"n": 100}),
        (PAGES_IN_PAGES, {"n": 10**9}),
        (PAGES_IN_PAGES, {"n": "many"}),
        (PAGES_IN_PAGES.replace("query ($n: Int!)", "query").replace("$n", "100"), {}),
    ):
        response = await ada.posts(document, **variables)
        assert response.status_code == 400
        [error] = response.json()["errors"]
        assert error["extensions"]["code"] == "TOO_COMPLEX"
        assert "smaller pages" in error["message"]
    # An invalid size is left to the execution to reject.
    answer = await ada.answer(PAGES_IN_PAGES, n=None)
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_the_maximum_cost_is_a_setting(cluster: Cluster, database: Database, tmp_path: Path):
    with running_server(tmp_path, database_url=cluster.url(), max_answer_fields="2") as server:
        async with http_client(server.url) as http:
            assert (await http.post("/graphql", json=VIEWER)).json() == {"data": {"viewer": None}}
            over = {"query": "{ viewer { username id } }"}
            response = await http.post("/graphql", json=over)
            assert response.json()["errors"][0]["extensions"]["code"] == "TOO_COMPLEX"

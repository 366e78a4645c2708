"""Documents that the server has not seen before."""

import asyncio

from tests.conftest import SignIn
from tests.support.clients import http_client
from tests.support.serving import Server


async def test_others_are_served_while_many_new_documents_are_prepared(server: Server, signs_in: SignIn):
    """Each takes tens of milliseconds to validate, because fields of the same name are compared in pairs."""
    ada = await signs_in("ada")
    await ada.asks("{ viewer { id } }")
    prepared, first = 0, asyncio.Event()

    async def send(number: int) -> None:
        nonlocal prepared
        async with http_client(server.url) as http:
            document = f"query New{number} {{ {'viewer { id } ' * 80} }}"
            response = await http.post("/graphql", json={"query": document}, headers=ada.headers)
            assert response.json() == {"data": {"viewer": {"id": response.json()["data"]["viewer"]["id"]}}}
            prepared += 1
            first.set()

    async with asyncio.TaskGroup() as tasks:
        for number in range(80):
            tasks.create_task(send(number))
        await first.wait()
        await ada.asks("{ viewer { id } }")
        assert prepared < 60

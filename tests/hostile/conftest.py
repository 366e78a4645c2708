"""The users of the tests of hostile input, and what must hold after each test."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest

from tests.conftest import sign_in
from tests.hostile.sending import QUICK_SECONDS, Conversation
from tests.support.people import Person
from tests.support.serving import Server


@pytest.fixture(autouse=True)
async def unharmed(server: Server, http: httpx.AsyncClient) -> AsyncGenerator[None]:
    """After each test the server answers as before, and has logged no internal errors."""

    def faults() -> list[str]:
        lines = server.log_path.read_text().splitlines()
        return [line for line in lines if '"level":"error"' in line or '"level":"critical"' in line]

    before = len(faults())
    yield
    async with asyncio.timeout(QUICK_SECONDS):
        assert (await http.get("/health/ready")).json() == {"status": "ready"}
        answer = await http.post("/graphql", json={"query": "{ viewer { id } }"})
        assert answer.json() == {"data": {"viewer": None}}
    assert faults()[before:] == []


@pytest.fixture(scope="module")
async def ada(http: httpx.AsyncClient) -> Person:
    return await sign_in(http, "ada")


@pytest.fixture(scope="module")
async def conversation(http: httpx.AsyncClient) -> Conversation:
    ada, grace = await sign_in(http, "ada"), await sign_in(http, "grace")
    opened = await ada.opens_conversation_with(grace)
    message = await ada.sends("hello", to=opened)
    return Conversation(ada, grace, opened, message["id"])

"""Sending hostile input, and what must hold for every answer to it."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from sqlalchemy import select

from db.engine import Database
from db.tables import messages
from schema.node import NodeType
from tests.support.people import Person
from tests.support.tables import tables

# Anything slower would delay other users.
QUICK_SECONDS = 5

INSIDES = re.compile(
    r"Traceback|\.py\b|site-packages|SELECT |INSERT |UPDATE |(?i:sqlalchemy|asyncpg|postgres|strawberry)"
)


def harmless(response: httpx.Response) -> httpx.Response:
    """Expect an answer that is not an internal error and reveals nothing internal."""
    assert response.status_code < 500, response.text[:1000]
    assert '"INTERNAL"' not in response.text, response.text[:1000]
    assert INSIDES.search(response.text) is None, response.text[:1000]
    return response


async def sends(
    http: httpx.AsyncClient, content: bytes | str, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Send a body unchanged."""
    async with asyncio.timeout(QUICK_SECONDS):
        sent = {"content-type": "application/json", **(headers or {})}
        return harmless(await http.post("/graphql", content=content, headers=sent))


async def asks(
    person: Person, document: str, variables: object = None, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Send a document with Python's own encoder, which escapes lone surrogates that httpx cannot send."""
    body = json.dumps({"query": document, "variables": variables})
    return await sends(person.http, body, {**person.headers, **(headers or {})})


def codes(response: httpx.Response) -> set[str]:
    """Return the codes of an answer's errors."""
    return {error["extensions"]["code"] for error in response.json().get("errors", ())}


@dataclass(frozen=True)
class Conversation:
    """Two users, and the IDs of their conversation and of a message in it."""

    ada: Person
    grace: Person
    id: str
    message: str


async def stored_in(database: Database, conversation: Conversation) -> list[str]:
    """Return the contents that the database has of a conversation."""
    key = NodeType.CONVERSATION.decode(conversation.id)
    statement = select(messages.c.content).where(messages.c.conversation_id == key).order_by(messages.c.seq)
    async with tables(database) as connection:
        return [*(await connection.scalars(statement)).all()]

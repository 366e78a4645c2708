"""Sending what nobody well-meaning sends, and what every answer to that has to be."""

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

# What takes longer makes everybody else wait.
QUICK_SECONDS = 5

INSIDES = re.compile(
    r"Traceback|\.py\b|site-packages|SELECT |INSERT |UPDATE |(?i:sqlalchemy|asyncpg|postgres|strawberry)"
)


def harmless(response: httpx.Response) -> httpx.Response:
    """Accept an answer that is no failure of ours and shows nothing of our insides."""
    assert response.status_code < 500, response.text[:1000]
    assert '"INTERNAL"' not in response.text, response.text[:1000]
    assert INSIDES.search(response.text) is None, response.text[:1000]
    return response


async def sends(
    http: httpx.AsyncClient, content: bytes | str, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Send a body as it is."""
    async with asyncio.timeout(QUICK_SECONDS):
        sent = {"content-type": "application/json", **(headers or {})}
        return harmless(await http.post("/graphql", content=content, headers=sent))


async def asks(
    person: Person, document: str, variables: object = None, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Send a document by Python's own encoder: it escapes half surrogate pairs, which httpx cannot send."""
    body = json.dumps({"query": document, "variables": variables})
    return await sends(person.http, body, {**person.headers, **(headers or {})})


def codes(response: httpx.Response) -> set[str]:
    """Return the codes of an answer's errors."""
    return {error["extensions"]["code"] for error in response.json().get("errors", ())}


@dataclass(frozen=True)
class Conversation:
    """Two people, and the ids of their conversation and of a message in it."""

    ada: Person
    grace: Person
    id: str
    message: str


async def stored_in(database: Database, conversation: Conversation) -> list[str]:
    """Return what the database holds of a conversation."""
    key = NodeType.CONVERSATION.decode(conversation.id)
    statement = select(messages.c.content).where(messages.c.conversation_id == key).order_by(messages.c.seq)
    async with tables(database) as connection:
        return [*(await connection.scalars(statement)).all()]

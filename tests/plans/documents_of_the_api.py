"""Random documents for this API, and their answers."""

import json
from contextlib import suppress
from random import Random
from typing import Any

from graphql import build_schema

from db import users
from db.engine import Database
from db.records import User
from execution.answers import Answer
from execution.api import Api
from execution.limits import DocumentTooComplex
from realtime.broadcaster import Broadcaster
from resolvers.context import Context
from tests.plans.documents import Document, document_from

API = Api()
SCHEMA = build_schema(API.sdl())


async def answer_to(document: Document, database: Database, viewer: User | None, api: Api = API) -> Answer:
    async with Context(database, Broadcaster(), viewer=viewer) as context:
        return await api.execute(
            await api.operation(document.text, None, document.variables, "a request"), context
        )


def errors_of(answer: Answer) -> list[str]:
    return sorted(json.dumps(error, sort_keys=True) for error in answer.get("errors", ()))


async def executable(random: Random, operation: str = "query", **more: Any) -> Document:
    """Return a document that is valid, within the limits, and executed by a plan."""
    while True:
        document = document_from(random, SCHEMA, operation, **more)
        with suppress(DocumentTooComplex):
            prepared = await API.prepare(document.text)
            if not prepared.errors and prepared.operation(None).bind(document.variables) is not None:
                return document


async def user_of(database: Database, username: str) -> User:
    async with database.snapshot() as connection:
        user = await users.by_username(connection, username)
    assert user is not None
    return user

"""Sessions as their users see them, and their rows in the database."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import select, update

from db.engine import Database
from db.tables import sessions
from tests.support.people import Person
from tests.support.tables import tables


def a_name() -> str:
    return f"ada-{uuid4().hex[:12]}"


async def signs_in(http: httpx.AsyncClient, name: str, user_agent: str = "A browser") -> Person:
    headers = {"user-agent": user_agent}
    response = await http.post("/auth/dev/login", json={"username": name}, headers=headers)
    http.cookies.clear()
    return Person(name, response.json()["token"], http)


async def is_signed_in(person: Person) -> bool:
    answer = await person.answer("{ viewer { username } }")
    if "errors" in answer:
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        return False
    return answer["data"]["viewer"] is not None


async def refreshed(person: Person) -> httpx.Response:
    response = await person.http.post("/auth/refresh", headers=person.headers)
    person.http.cookies.clear()
    return response


def hash_of(token: str) -> str:
    return sha256(token.encode()).hexdigest()


async def change(database: Database, person: Person, **values: Any) -> None:
    """Change the times of the user's session, which is faster than waiting for them."""
    async with tables(database) as connection:
        mine = sessions.c.token_hash == hash_of(person.token)
        assert (await connection.execute(update(sessions).where(mine).values(**values))).rowcount == 1


async def session_of(database: Database, person: Person) -> Any:
    async with tables(database) as connection:
        query = select(sessions).where(sessions.c.token_hash == hash_of(person.token))
        return (await connection.execute(query)).one()


def since_now(**time: float) -> datetime:
    return datetime.now(UTC) + timedelta(**time)

"""Sessions last while they are used, up to a maximum lifetime, and their cookies last as long."""

from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import httpx
from sqlalchemy import select, update

from db.engine import Database
from db.records import SessionTime
from db.tables import sessions
from resolvers.sessions import drop_over, open_session, sign_in_by_name
from server.endpoints.reserved_requests import TOKEN_HEADER
from tests.support.sessions import a_name, change, is_signed_in, refreshed, session_of, signs_in, since_now
from tests.support.tables import tables

COOKIE = "messenger-session"


async def test_use_extends_a_session_and_is_recorded_once_an_hour(
    http: httpx.AsyncClient, database: Database
):
    ada = await signs_in(http, a_name())
    used = since_now(hours=-2)
    await change(database, ada, last_used_at=used, expires_at=since_now(minutes=1))
    assert await is_signed_in(ada)
    after = await session_of(database, ada)
    assert after.last_used_at > since_now(minutes=-1)
    assert after.expires_at > since_now(days=13, hours=23)
    # Less than an hour ago, so nothing is written.
    ada = await signs_in(http, ada.username)
    used = since_now(minutes=-50).replace(microsecond=0)
    await change(database, ada, last_used_at=used, expires_at=since_now(minutes=1))
    assert await is_signed_in(ada)
    after = await session_of(database, ada)
    assert after.last_used_at == used
    assert after.expires_at < since_now(minutes=2)


async def test_a_session_ends_after_its_maximum_lifetime_despite_use(
    http: httpx.AsyncClient, database: Database
):
    ada = await signs_in(http, a_name())
    opened = since_now(days=-179)
    await change(database, ada, created_at=opened, last_used_at=since_now(days=-1))
    assert await is_signed_in(ada)
    last = opened + timedelta(days=180)
    assert abs((await session_of(database, ada)).expires_at - last) < timedelta(seconds=1)
    ada.token = (await refreshed(ada)).json()["token"]
    assert abs((await session_of(database, ada)).expires_at - last) < timedelta(seconds=1)


async def test_the_cookie_lasts_as_long_as_its_session(http: httpx.AsyncClient, database: Database):
    async def cookies_set(headers: dict[str, str]) -> list[str]:
        query = {"query": "{ viewer { username } }"}
        response = await http.post("/graphql", json=query, headers=headers)
        http.cookies.clear()
        return response.headers.get_list("set-cookie")

    ada = await signs_in(http, a_name())
    assert await cookies_set({"cookie": f"{COOKIE}={ada.token}"}) == []
    ada = await signs_in(http, a_name())
    await change(database, ada, last_used_at=since_now(hours=-2), expires_at=since_now(hours=1))
    [renewed] = await cookies_set({"cookie": f"{COOKIE}={ada.token}"})
    [morsel] = SimpleCookie(renewed).values()
    assert (morsel.key, morsel.value, bool(morsel["httponly"])) == (COOKIE, ada.token, True)
    assert 13.9 * 86400 < int(morsel["max-age"]) <= 14 * 86400
    # A client that sends the token in the header has no cookie, and gets none.
    ada = await signs_in(http, a_name())
    await change(database, ada, last_used_at=since_now(hours=-2), expires_at=since_now(hours=1))
    assert await cookies_set(ada.headers) == []


SUBSCRIPTION = {"query": "subscription { messageCreated { cursor } }"}
EVENTS = {"accept": "text/event-stream"}
APOLLO = {"accept": "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"}


async def test_every_request_that_extends_the_session_renews_the_cookie(
    http: httpx.AsyncClient, database: Database
):
    async def set_by(method: str, path: str, headers: dict[str, str], **body: Any) -> tuple[int, list[str]]:
        async with http.stream(method, path, headers=headers, **body) as response:
            http.cookies.clear()
            return response.status_code, response.headers.get_list("set-cookie")

    name = a_name()
    ada = await signs_in(http, name)
    reserved = {TOKEN_HEADER: (await http.put("/graphql/stream", headers=ada.headers)).text}
    operation = {**SUBSCRIPTION, "extensions": {"operationId": "1"}}
    for status, method, path, headers, body in (
        (200, "POST", "/graphql", EVENTS, {"json": SUBSCRIPTION}),
        (200, "GET", "/graphql/stream", EVENTS, {"params": SUBSCRIPTION}),
        (200, "POST", "/graphql", APOLLO, {"json": SUBSCRIPTION}),
        (201, "PUT", "/graphql/stream", {}, {}),
        (202, "POST", "/graphql/stream", reserved, {"json": operation}),
        (200, "DELETE", "/graphql/stream?operationId=1", reserved, {}),
        (200, "GET", "/graphql/stream", {**EVENTS, **reserved}, {}),
        # A request that is rejected afterwards has also extended the session.
        (406, "POST", "/graphql", {}, {"json": SUBSCRIPTION}),
        (415, "POST", "/graphql", {"content-type": "text/plain"}, {"content": b"x"}),
    ):
        # A token that the server has not cached.
        ada = await signs_in(http, name)
        await change(database, ada, last_used_at=since_now(hours=-2), expires_at=since_now(hours=1))
        cookie = {"cookie": f"{COOKIE}={ada.token}"}
        found, renewed = await set_by(method, path, {**cookie, **headers}, **body)
        assert found == status, (method, path, headers)
        [morsel] = [morsel for line in renewed for morsel in SimpleCookie(line).values()]
        assert (morsel.key, morsel.value) == (COOKIE, ada.token)
        assert 13.9 * 86400 < int(morsel["max-age"]) <= 14 * 86400


async def test_sessions_that_ended_a_day_ago_are_deleted(database: Database):
    time = SessionTime(timedelta(days=14), timedelta(days=180))
    user = (await sign_in_by_name(database, a_name(), time)).session.user
    opened, just_over, expired, ended = [
        (await open_session(database, user, time)).session.id for _ in range(4)
    ]
    async with tables(database) as connection:
        for session, values in (
            (just_over, {"revoked_at": since_now(hours=-23)}),
            (expired, {"expires_at": since_now(hours=-25)}),
            (ended, {"revoked_at": since_now(hours=-25)}),
        ):
            await connection.execute(update(sessions).where(sessions.c.id == session).values(**values))
    assert await drop_over(database, batch=1) >= 2
    async with tables(database) as connection:
        left = await connection.scalars(select(sessions.c.id).where(sessions.c.user_id == user.id))
        assert {opened, just_over} <= (remaining := set(left))
        assert not {expired, ended} & remaining

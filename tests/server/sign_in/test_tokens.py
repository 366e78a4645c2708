"""Where a token is accepted, how it is replaced, and how its session ends."""

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text

from db.engine import Database
from db.tables import sessions
from tests.server.sign_in.signing_in import (
    COOKIE,
    VIEWER,
    a_name,
    bearer,
    change_session,
    cookie,
    cookie_set_by,
    post,
    refusal,
    token_for,
    viewer,
)
from tests.support.tables import tables


async def test_the_database_stores_no_tokens(http: httpx.AsyncClient, database: Database):
    old = await token_for(http, a_name())
    token = (await post(http, "/auth/refresh", bearer(old))).json()["token"]
    hashes = [sha256(each.encode()).hexdigest() for each in (token, old)]
    async with tables(database) as connection:
        row = select(sessions.c.token_hash, sessions.c.previous_token_hash).where(
            sessions.c.token_hash == hashes[0]
        )
        assert [*(await connection.execute(row)).one()] == hashes
        whole_table = text("SELECT count(*) FROM sessions AS s WHERE strpos(s::text, :token) > 0")
        for each in (token, old):
            assert await connection.scalar(whole_table, {"token": each}) == 0


async def test_a_bearer_token_takes_precedence_over_a_cookie(http: httpx.AsyncClient):
    ada_name, grace_name = a_name(), a_name()
    ada, grace = await token_for(http, ada_name), await token_for(http, grace_name)
    assert await viewer(http, cookie(grace)) == grace_name
    assert await viewer(http, {"cookie": f"theme=dark; {COOKIE}={grace}; {COOKIE}-2=x"}) == grace_name
    assert await viewer(http, bearer(ada) | cookie(grace)) == ada_name
    assert await viewer(http, {"authorization": f"bEARER {ada}"}) == ada_name
    for authorization in ("Bearer wrong", "Bearer", "Basic YWRhOmFkYQ==", f"Session {ada}", ada, ""):
        assert await viewer(http, {"authorization": authorization} | cookie(grace)) == "UNAUTHENTICATED"


@pytest.mark.parametrize("name", ["token", "access_token", "bearer", "authorization", COOKIE])
async def test_a_token_in_a_url_is_ignored(http: httpx.AsyncClient, name: str):
    username = a_name()
    token = await token_for(http, username)
    response = await http.get("/graphql", params={**VIEWER, name: token})
    if name == "token":
        # Reservations are passed there in single connection mode, but this is not one.
        assert response.status_code == 404
    else:
        assert response.json() == {"data": {"viewer": None}}
    for path in ("/auth/refresh", "/auth/logout"):
        assert (await http.post(path, params={name: token})).status_code == 401
    assert await viewer(http, bearer(token)) == username


async def test_an_invalid_token_is_rejected_instead_of_ignored(http: httpx.AsyncClient):
    token = await token_for(http, a_name())
    assert await viewer(http, {}) == "nobody"
    assert await viewer(http, {"cookie": "theme=dark"}) == "nobody"
    for wrong in (
        "wrong",
        token[:-1],
        token + "A",
        token.swapcase(),
        '"' + token,
        sha256(token.encode()).hexdigest(),
    ):
        assert await viewer(http, bearer(wrong)) == "UNAUTHENTICATED", wrong
        assert await viewer(http, cookie(wrong)) == "UNAUTHENTICATED", wrong
    assert await viewer(http, {"cookie": f"{COOKIE}="}) == "UNAUTHENTICATED"


async def test_a_refresh_ends_the_old_token_after_a_grace_period(http: httpx.AsyncClient, database: Database):
    name = a_name()
    old = await token_for(http, name)
    await change_session(database, old, expires_at=datetime.now(UTC) + timedelta(minutes=1))
    response = await post(http, "/auth/refresh", bearer(old))
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"token", "expiresAt", "user"}
    assert answer["user"]["username"] == name
    assert datetime.fromisoformat(answer["expiresAt"]) > datetime.now(UTC) + timedelta(days=13)
    new = answer["token"]
    assert new != old
    assert cookie_set_by(response).value == new
    assert [await viewer(http, bearer(token)) for token in (old, new)] == [name, name]
    async with tables(database) as connection:
        session = sessions.c.token_hash == sha256(new.encode()).hexdigest()
        grace = await connection.scalar(select(sessions.c.previous_token_until - func.now()).where(session))
    assert grace is not None
    assert timedelta(seconds=10) < grace <= timedelta(seconds=30)
    await change_session(database, new, previous_token_until=datetime.now(UTC))
    assert await viewer(http, bearer(old)) == "UNAUTHENTICATED"
    assert await viewer(http, bearer(new)) == name


async def refreshed(http: httpx.AsyncClient, token: str) -> str:
    response = await post(http, "/auth/refresh", bearer(token))
    assert response.status_code == 200, response.text
    return response.json()["token"]


async def grace_end(database: Database, token: str) -> datetime:
    mine = sessions.c.token_hash == sha256(token.encode()).hexdigest()
    async with tables(database) as connection:
        ends = await connection.scalar(select(sessions.c.previous_token_until).where(mine))
    assert ends is not None
    return ends


async def test_a_refresh_whose_answer_was_lost_can_be_repeated(http: httpx.AsyncClient, database: Database):
    name = a_name()
    old = await token_for(http, name)
    lost = await refreshed(http, old)
    ends = await grace_end(database, lost)
    response = await post(http, "/auth/refresh", cookie(old))
    assert response.status_code == 200, response.text
    new = response.json()["token"]
    assert cookie_set_by(response).value == new
    assert len({old, lost, new}) == 3
    # Two tokens are valid, as after any refresh, and the old one for as long as before.
    assert [await viewer(http, bearer(token)) for token in (old, lost, new)] == [
        name, "UNAUTHENTICATED", name,
    ]  # fmt: skip
    assert await grace_end(database, new) == ends
    # It continues as if nothing had happened.
    newest = await refreshed(http, new)
    assert [await viewer(http, bearer(token)) for token in (old, new, newest)] == [
        "UNAUTHENTICATED", name, name,
    ]  # fmt: skip


async def test_refreshing_with_a_token_replaced_twice_ends_the_session(http: httpx.AsyncClient):
    """A thief may have been first: the user's second refresh locks the thief out, or reveals them."""
    old = await token_for(http, a_name())
    stolen = await refreshed(http, old)
    new = await refreshed(http, old)
    assert refusal(await post(http, "/auth/refresh", bearer(stolen)), 401) == "UNAUTHENTICATED"
    assert [await viewer(http, bearer(token)) for token in (old, stolen, new)] == ["UNAUTHENTICATED"] * 3


async def test_only_the_last_predecessor_can_be_refreshed_again(http: httpx.AsyncClient):
    first = await token_for(http, a_name())
    second = await refreshed(http, first)
    third = await refreshed(http, second)
    assert refusal(await post(http, "/auth/refresh", bearer(first)), 401) == "UNAUTHENTICATED"
    assert [await viewer(http, bearer(token)) for token in (second, third)] == ["UNAUTHENTICATED"] * 2


async def test_an_old_token_can_be_refreshed_only_in_its_grace_period(
    http: httpx.AsyncClient, database: Database
):
    old = await token_for(http, a_name())
    new = await refreshed(http, old)
    await change_session(database, new, previous_token_until=datetime.now(UTC))
    again = await post(http, "/auth/refresh", bearer(old))
    assert refusal(again, 401) == "UNAUTHENTICATED"
    assert again.headers["www-authenticate"] == "Bearer"
    assert "set-cookie" not in again.headers
    assert await viewer(http, bearer(new)) == "UNAUTHENTICATED"


async def test_concurrent_refreshes_of_one_token_succeed_and_one_new_token_is_valid(http: httpx.AsyncClient):
    name = a_name()
    old = await token_for(http, name)
    new = await asyncio.gather(*(refreshed(http, old) for _ in range(10)))
    assert len(set(new)) == 10
    found = [await viewer(http, bearer(token)) for token in new]
    assert sorted(found) == sorted([name, *["UNAUTHENTICATED"] * 9])
    assert await viewer(http, bearer(old)) == name


@pytest.mark.parametrize("headers_of", [bearer, cookie])
async def test_logging_out_ends_the_session_and_no_other(http: httpx.AsyncClient, headers_of: Any):
    name = a_name()
    token, on_the_phone = await token_for(http, name), await token_for(http, name)
    response = await post(http, "/auth/logout", headers_of(token))
    assert (response.status_code, response.content) == (204, b"")
    forgotten = cookie_set_by(response)
    assert (forgotten.key, forgotten.value, forgotten["max-age"], forgotten["path"]) == (COOKIE, "", "0", "/")
    assert await viewer(http, headers_of(token)) == "UNAUTHENTICATED"
    assert await viewer(http, headers_of(on_the_phone)) == name
    for path in ("/auth/logout", "/auth/refresh"):
        again = await post(http, path, headers_of(token))
        assert refusal(again, 401) == "UNAUTHENTICATED"
        assert again.headers["www-authenticate"] == "Bearer"


async def test_logging_out_with_a_token_just_replaced_ends_the_new_one_too(http: httpx.AsyncClient):
    old = await token_for(http, a_name())
    new = (await post(http, "/auth/refresh", bearer(old))).json()["token"]
    assert (await post(http, "/auth/logout", bearer(old))).status_code == 204
    assert [await viewer(http, bearer(token)) for token in (old, new)] == ["UNAUTHENTICATED"] * 2


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/refresh"])
@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Basic YQ=="}, bearer("wrong"), cookie("wrong")], ids=str
)
async def test_unauthenticated_clients_cannot_refresh_or_log_out(
    http: httpx.AsyncClient, path: str, headers: dict[str, str]
):
    response = await post(http, path, headers)
    assert refusal(response, 401) == "UNAUTHENTICATED"
    assert response.headers["www-authenticate"] == "Bearer"


async def test_an_expired_session_is_rejected(http: httpx.AsyncClient, database: Database):
    token = await token_for(http, a_name())
    await change_session(database, token, expires_at=datetime.now(UTC))
    assert await viewer(http, bearer(token)) == "UNAUTHENTICATED"
    for path in ("/auth/logout", "/auth/refresh"):
        assert refusal(await post(http, path, bearer(token)), 401) == "UNAUTHENTICATED"

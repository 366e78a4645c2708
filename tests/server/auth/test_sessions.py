"""Sessions last while they are used, can be listed and ended, and detect that a token was stolen."""

from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.cookies import SimpleCookie
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import delete, func, select, text, update

from db.embedded import Cluster
from db.engine import Database
from db.records import SessionTime
from db.tables import replaced_tokens, sessions, users
from resolvers.sessions import drop_over, open_session, sign_in_by_name
from server.endpoints.single_connection import TOKEN_HEADER
from tests.support.clients import http_client
from tests.support.people import Person, StreamOver
from tests.support.serving import Server, eventually_async, running_server
from tests.support.tables import tables

SESSIONS = "{ sessions { id createdAt lastUsedAt expiresAt userAgent current } }"
END = (
    "mutation ($id: ID!) { endSession(input: {sessionId: $id}) { endedSessionId userErrors { code path } } }"
)
END_OTHERS = "mutation { endOtherSessions { endedSessionIds userErrors { code } } }"
COOKIE = "messenger-session"


@pytest.fixture(scope="module")
def server(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """A process that caches a verified token for a minute, so what it notices sooner is not looked up."""
    folder = tmp_path_factory.mktemp("caching")
    with running_server(folder, database_url=cluster.url(), session_cache_seconds="60") as running:
        yield running


@pytest.fixture(scope="module")
def other_process(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """Another process on the same database, which caches verified tokens for the default time."""
    with running_server(tmp_path_factory.mktemp("other"), database_url=cluster.url()) as running:
        yield running


@pytest.fixture
async def http(server: Server) -> AsyncGenerator[httpx.AsyncClient]:
    async with http_client(server.url) as client:
        yield client


@pytest.fixture
async def elsewhere(other_process: Server) -> AsyncGenerator[httpx.AsyncClient]:
    async with http_client(other_process.url) as client:
        yield client


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


async def session_id(person: Person) -> str:
    found = (await person.asks(SESSIONS))["sessions"]
    return next(each["id"] for each in found if each["current"])


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


async def test_users_see_their_own_sessions_and_no_others(http: httpx.AsyncClient):
    name = a_name()
    phone = await signs_in(http, name, "A phone")
    laptop = await signs_in(http, name, "x" * 500)
    await signs_in(http, a_name(), "Another user's")
    found = (await laptop.asks(SESSIONS))["sessions"]
    assert [(each["userAgent"], each["current"]) for each in found] == [("x" * 200, True), ("A phone", False)]
    assert [each["current"] for each in (await phone.asks(SESSIONS))["sessions"]] == [False, True]
    lasts = datetime.fromisoformat(found[0]["expiresAt"]) - datetime.fromisoformat(found[0]["createdAt"])
    assert timedelta(days=13, hours=23) < lasts <= timedelta(days=14)


async def test_ending_a_session_immediately_ends_its_token_and_streams_only(http: httpx.AsyncClient):
    name = a_name()
    phone, laptop = await signs_in(http, name), await signs_in(http, name)
    assert await is_signed_in(phone)
    ended = await session_id(phone)
    async with phone.listening() as stream:
        payload = (await laptop.asks(END, id=ended))["endSession"]
        assert payload == {"endedSessionId": ended, "userErrors": []}
        assert not await is_signed_in(phone)
        assert (await stream.answer())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await stream.event()).event == "complete"
    assert [each["current"] for each in (await laptop.asks(SESSIONS))["sessions"]] == [True]


async def test_a_session_can_end_itself(http: httpx.AsyncClient):
    ada = await signs_in(http, a_name())
    mine = await session_id(ada)
    assert (await ada.asks(END, id=mine))["endSession"]["endedSessionId"] == mine
    assert not await is_signed_in(ada)


async def test_ending_the_other_sessions_keeps_the_current_one(http: httpx.AsyncClient):
    name = a_name()
    here, there, everywhere = [await signs_in(http, name) for _ in range(3)]
    stranger = await signs_in(http, a_name())
    assert all([await is_signed_in(each) for each in (here, there, everywhere, stranger)])
    others = {await session_id(there), await session_id(everywhere)}
    async with here.listening() as mine, there.listening() as theirs:
        payload = (await here.asks(END_OTHERS))["endOtherSessions"]
        assert (set(payload["endedSessionIds"]), payload["userErrors"]) == (others, [])
        assert (await theirs.answer())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        signed_in = [await is_signed_in(each) for each in (here, there, everywhere, stranger)]
        assert signed_in == [True, False, False, True]
        conversation = await stranger.opens_conversation_with(here)
        await stranger.sends("still there?", to=conversation)
        assert await mine.contents(1) == ["still there?"]
    assert (await here.asks(END_OTHERS))["endOtherSessions"]["endedSessionIds"] == []


async def test_only_the_user_s_own_open_sessions_can_be_ended(http: httpx.AsyncClient):
    ada, eve = await signs_in(http, a_name()), await signs_in(http, a_name())
    foreign = await session_id(ada)
    user = (await eve.asks("{ viewer { id } }"))["viewer"]["id"]
    for wrong in (foreign, user, "S", "nonsense", f"S{'A' * 22}"):
        payload = (await eve.asks(END, id=wrong))["endSession"]
        assert payload == {
            "endedSessionId": None,
            "userErrors": [{"code": "NOT_FOUND", "path": ["input", "sessionId"]}],
        }
    assert await is_signed_in(ada)


async def test_a_session_is_a_node_only_for_its_user(http: httpx.AsyncClient):
    ada, eve = await signs_in(http, a_name(), "Ada's"), await signs_in(http, a_name())
    mine = await session_id(ada)
    query = "query ($id: ID!) { node(id: $id) { id ... on Session { userAgent current } } }"
    assert await ada.asks(query, id=mine) == {"node": {"id": mine, "userAgent": "Ada's", "current": True}}
    assert await eve.asks(query, id=mine) == {"node": None}


async def test_another_process_notices_an_ended_session_within_seconds(
    http: httpx.AsyncClient, elsewhere: httpx.AsyncClient
):
    ada = await signs_in(http, a_name())
    there = Person(ada.username, ada.token, elsewhere)
    async with there.listening() as stream:
        assert await is_signed_in(there)
        assert (await http.post("/auth/logout", headers=ada.headers)).status_code == 204
        assert not await is_signed_in(ada)
        assert (await stream.answer())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"

    async def is_over() -> bool:
        return not await is_signed_in(there)

    await eventually_async(is_over)


async def test_an_expired_session_is_rejected_although_its_token_is_cached(
    http: httpx.AsyncClient, database: Database
):
    ada = await signs_in(http, a_name())
    await change(database, ada, expires_at=since_now(seconds=5))
    assert await is_signed_in(ada)

    async def is_over() -> bool:
        return not await is_signed_in(ada)

    await eventually_async(is_over)


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


async def test_refreshing_a_replaced_token_after_its_grace_period_ends_the_session(
    http: httpx.AsyncClient, database: Database
):
    """Two clients have had the token, and the server cannot tell which is the thief."""
    ada = await signs_in(http, a_name())
    thief = Person(ada.username, ada.token, http)
    ada.token = (await refreshed(ada)).json()["token"]
    async with ada.listening() as stream:
        await change(database, ada, previous_token_until=since_now())
        assert (await refreshed(thief)).status_code == 401
        assert not await is_signed_in(ada)
        assert (await stream.answer())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert (await refreshed(ada)).status_code == 401


async def test_refreshing_a_token_replaced_long_ago_ends_the_session(http: httpx.AsyncClient):
    ada = await signs_in(http, a_name())
    thief = Person(ada.username, ada.token, http)
    for _ in range(3):
        ada.token = (await refreshed(ada)).json()["token"]
    other = await signs_in(http, ada.username)
    assert (await refreshed(thief)).status_code == 401
    assert [await is_signed_in(each) for each in (ada, other)] == [False, True]


async def test_the_database_stores_nothing_from_which_a_token_can_be_derived(
    http: httpx.AsyncClient, database: Database
):
    ada = await signs_in(http, a_name())
    tokens = [ada.token]
    for _ in range(3):
        ada.token = (await refreshed(ada)).json()["token"]
        tokens.append(ada.token)
    async with tables(database) as connection:
        for table in (sessions, replaced_tokens):
            for token in tokens:
                holding = text(f"SELECT count(*) FROM {table.name} AS t WHERE strpos(t::text, :token) > 0")
                assert await connection.scalar(holding, {"token": token}) == 0
        kept = replaced_tokens.c.token_hash.in_([hash_of(each) for each in tokens])
        assert await connection.scalar(select(func.count()).where(kept)) == 3


async def test_a_new_username_is_shown_although_the_token_is_cached(http: httpx.AsyncClient):
    ada = await signs_in(http, a_name())
    assert await is_signed_in(ada)
    renamed = f"{ada.username}-2"
    picture = "https://pictures.example/ada.png"
    change_profile = """
        mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { user { id } } }
    """
    await ada.asks(change_profile, input={"username": renamed})
    await ada.asks(change_profile, input={"avatarUrl": picture})
    seen = (await ada.asks("{ viewer { username avatarUrl } }"))["viewer"]
    assert seen == {"username": renamed, "avatarUrl": picture}


async def test_a_removed_user_is_unauthenticated_immediately(http: httpx.AsyncClient, database: Database):
    ada = await signs_in(http, a_name())
    assert await is_signed_in(ada)
    async with tables(database) as connection:
        await connection.execute(delete(users).where(users.c.username == ada.username))
    assert not await is_signed_in(ada)


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


async def test_a_stream_survives_a_token_refresh_and_ends_on_sign_out(
    http: httpx.AsyncClient,
):
    ada = await signs_in(http, a_name())
    async with ada.listening() as stream:
        ada.token = (await refreshed(ada)).json()["token"]
        assert (await http.post("/auth/logout", headers=ada.headers)).status_code == 204
        assert (await stream.answer())["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await stream.event()).event == "complete"
        with pytest.raises(StreamOver):
            await stream.event()

"""Sessions can be listed and ended, and detect that a token was stolen."""

from collections.abc import AsyncGenerator, Generator
from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import func, select, text

from db.embedded import Cluster
from db.engine import Database
from db.tables import replaced_tokens, sessions
from tests.support.clients import http_client
from tests.support.people import Person, StreamOver
from tests.support.removals import remove
from tests.support.serving import Server, eventually_async, running_server
from tests.support.sessions import a_name, change, hash_of, is_signed_in, refreshed, signs_in, since_now
from tests.support.tables import tables

SESSIONS = "{ sessions { id createdAt lastUsedAt expiresAt userAgent current } }"
END = (
    "mutation ($id: ID!) { endSession(input: {sessionId: $id}) { endedSessionId userErrors { code path } } }"
)
END_OTHERS = "mutation { endOtherSessions { endedSessionIds userErrors { code } } }"


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


async def session_id(person: Person) -> str:
    found = (await person.asks(SESSIONS))["sessions"]
    return next(each["id"] for each in found if each["current"])


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
    await remove(database, ada.username)
    assert not await is_signed_in(ada)


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

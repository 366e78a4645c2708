"""A stream ends immediately with its session if one process ends the session and serves the stream."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from db.engine import Database
from tests.conftest import SignIn
from tests.server.endpoints.test_single_connection import Reserved, comes
from tests.support.people import MESSAGE_CREATED, Person, Stream
from tests.support.removals import remove

# Sessions that other processes have ended are checked every three seconds, at any phase.
AT_ONCE_SECONDS = 2
ROUNDS = 8


async def again(person: Person) -> Person:
    """Open another session of the same user."""
    response = await person.http.post("/auth/dev/login", json={"username": person.username})
    person.http.cookies.clear()
    return Person(person.username, response.json()["token"], person.http)


async def log_out(leaving: Person, staying: Person) -> None:
    assert (await leaving.http.post("/auth/logout", headers=leaving.headers)).status_code == 204


async def end_session(leaving: Person, staying: Person) -> None:
    sessions = (await leaving.asks("{ sessions { id current } }"))["sessions"]
    [its_id] = [each["id"] for each in sessions if each["current"]]
    end = "mutation ($id: ID!) { endSession(input: {sessionId: $id}) { endedSessionId } }"
    assert (await staying.asks(end, id=its_id))["endSession"]["endedSessionId"] == its_id


async def end_other_sessions(leaving: Person, staying: Person) -> None:
    ended = await staying.asks("mutation { endOtherSessions { endedSessionIds } }")
    assert len(ended["endOtherSessions"]["endedSessionIds"]) == 1


@asynccontextmanager
async def listening_by_reservation(person: Person) -> AsyncGenerator[Stream]:
    reserved = await Reserved.by(person, (person.http, person.http))
    async with reserved.opened() as stream:
        await reserved.runs(MESSAGE_CREATED, "listening")
        yield stream


async def ends_unauthenticated(stream: Stream) -> None:
    [error] = (await stream.answer())["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert (await stream.event()).event == "complete"


async def ends_unauthenticated_by_reservation(stream: Stream) -> None:
    operation, payload = await comes(stream)
    assert operation == "listening"
    assert payload is not None
    assert payload["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert await comes(stream, "complete") == ("listening", None)


@pytest.mark.parametrize("end", [log_out, end_session, end_other_sessions])
async def test_a_stream_ends_immediately_with_its_session_and_those_of_others_continue(
    signs_in: SignIn, http: httpx.AsyncClient, end: Callable[[Person, Person], Awaitable[None]]
):
    staying, eve = await signs_in("ada"), await signs_in("eve")
    conversation = await eve.opens_conversation_with(staying)
    async with staying.listening() as goes_on:
        for number in range(ROUNDS):
            leaving = await again(staying)
            async with AsyncExitStack() as streams:
                distinct = await streams.enter_async_context(leaving.listening())
                reserved = await streams.enter_async_context(listening_by_reservation(leaving))
                await end(leaving, staying)
                async with asyncio.timeout(AT_ONCE_SECONDS):
                    await ends_unauthenticated(distinct)
                    await ends_unauthenticated_by_reservation(reserved)
            await eve.sends(str(number), to=conversation)
            assert await goes_on.contents(1) == [str(number)]


async def test_the_streams_of_a_removed_user_end_unauthenticated(signs_in: SignIn, database: Database):
    """Whether the process first finds that the session has ended, or that the reservation is gone."""
    for _ in range(3):
        leaving, staying = await signs_in("ada"), await signs_in("grace")
        conversation = await staying.opens_conversation_with(leaving)
        async with leaving.listening() as distinct, listening_by_reservation(leaving) as reserved:
            # A subscription that has only been accepted is forgotten with its reservation.
            await staying.sends("hello", to=conversation)
            assert await distinct.contents(1) == ["hello"]
            await comes(reserved)
            await remove(database, leaving.username)
            await ends_unauthenticated(distinct)
            await ends_unauthenticated_by_reservation(reserved)

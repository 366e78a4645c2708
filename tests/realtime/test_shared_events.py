"""Streams with the same request share executed events; each gets everything once, whatever the others do."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import httpx

from tests.conftest import SignIn
from tests.server.endpoints.test_single_connection import Reserved, comes
from tests.support.people import MESSAGE_CREATED, Person
from tests.support.serving import Server

MESSAGES = [f"message {number}" for number in range(20)]


async def metric(http: httpx.AsyncClient, start: str) -> float:
    page = (await http.get("/metrics")).text
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(start))


async def executed_events(http: httpx.AsyncClient) -> float:
    return await metric(http, 'messenger_operations_total{field="messageCreated"')


async def test_an_event_is_executed_once_for_all_streams_of_a_viewer(
    http: httpx.AsyncClient, signs_in: SignIn
):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(grace.listening()) for _ in range(10)]
        before = await executed_events(http)
        for text in MESSAGES:
            await ada.sends(text, to=conversation)
        for stream in streams:
            assert await stream.contents(len(MESSAGES)) == MESSAGES
        assert await executed_events(http) - before == len(MESSAGES)


async def test_an_event_is_executed_once_for_all_subscriptions_of_reserved_streams(
    http: httpx.AsyncClient, signs_in: SignIn
):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    reserved = [await Reserved.by(grace, (http, http)) for _ in range(2)]
    operations = ["one", "two", "three", "stopped"]
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(each.opened()) for each in reserved]
        for each in reserved:
            for operation in operations:
                await each.runs(MESSAGE_CREATED, operation)
        await ada.sends("first", to=conversation)
        for stream in streams:
            assert {(await comes(stream))[0] for _ in operations} == {*operations}
        for each, stream in zip(reserved, streams, strict=True):
            await each.stops("stopped")
            assert await comes(stream, "complete") == ("stopped", None)
        before = await executed_events(http)
        for text in MESSAGES:
            await ada.sends(text, to=conversation)
        for stream in streams:
            heard: dict[str, list[str]] = {"one": [], "two": [], "three": []}
            for _ in range(3 * len(MESSAGES)):
                operation, answer = await comes(stream)
                assert answer is not None
                heard[operation].append(answer["data"]["messageCreated"]["message"]["content"])
            assert heard == dict.fromkeys(heard, MESSAGES)
        assert await executed_events(http) - before == len(MESSAGES)


async def test_an_event_with_a_hint_is_not_read_from_the_inbox(http: httpx.AsyncClient, signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    short = "subscription { messageCreated { message { content } } }"
    # The first event needs only the hint; the other selects the author, who is read from the database.
    async with grace.streaming(short) as at_once, grace.listening() as reading:
        await ada.sends("first", to=conversation)
        assert await reading.contents(1) == ["first"]
        reads, executed = await metric(http, "messenger_inbox_log_reads"), await executed_events(http)
        for text in MESSAGES:
            await ada.sends(text, to=conversation)
            assert await reading.contents(1) == [text]
        assert await metric(http, "messenger_inbox_log_reads") == reads
        assert await executed_events(http) == executed + 2 * len(MESSAGES)
        for text in ["first", *MESSAGES]:
            answer = await at_once.answer()
            assert answer["data"]["messageCreated"]["message"]["content"] == text


async def test_streams_with_different_requests_get_their_own_answers(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    start = await grace.inbox_cursor()
    await ada.sends("before", to=conversation)
    short = "subscription { messageCreated { message { content } } }"
    async with (
        grace.listening() as usual,
        grace.listening(after=start) as late,
        grace.listening(include_mine=True) as own_too,
        grace.streaming(short) as brief,
        ada.listening() as other,
    ):
        await grace.sends("mine", to=conversation)
        await ada.sends("yours", to=conversation)
        assert await usual.contents(1) == ["yours"]
        assert await late.contents(2) == ["before", "yours"]
        assert await own_too.contents(2) == ["mine", "yours"]
        assert (await brief.answer())["data"]["messageCreated"] == {"message": {"content": "yours"}}
        assert await other.contents(1) == ["mine"]


async def test_when_the_leading_stream_ends_the_others_miss_nothing(signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    async with AsyncExitStack() as stack:
        async with AsyncExitStack() as leading:
            for _ in range(3):
                await leading.enter_async_context(grace.listening())
            streams = [await stack.enter_async_context(grace.listening()) for _ in range(5)]
            sending = asyncio.create_task(send(ada, conversation))
            assert await streams[0].contents(3) == MESSAGES[:3]
        await sending
        assert await streams[0].contents(len(MESSAGES) - 3) == MESSAGES[3:]
        for stream in streams[1:]:
            assert await stream.contents(len(MESSAGES)) == MESSAGES


async def send(author: Person, conversation: str) -> None:
    for text in MESSAGES:
        await author.sends(text, to=conversation)


async def test_a_stalled_stream_delays_no_other_and_gets_everything_later(server: Server, signs_in: SignIn):
    ada, grace = await signs_in("ada"), await signs_in("grace")
    conversation = await ada.opens_conversation_with(grace)
    long = [f"{number} " + "🙂" * 400 for number in range(640)]

    async def send_every_eighth(first: int) -> None:
        for text in long[first::8]:
            await ada.sends(text, to=conversation)

    async with grace.listening() as leading, grace.listening() as listening:
        reader, writer = await stalled_stream(server, grace)
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = [tasks.create_task(each.contents(len(long))) for each in (leading, listening)]
                for first in range(8):
                    tasks.create_task(send_every_eighth(first))
            everything, the_same = (each.result() for each in reading)
            assert the_same == everything
            assert sorted(everything) == sorted(long)
            received: list[str] = []
            async with asyncio.timeout(60):
                while len(received) < len(long):
                    line = await reader.readline()
                    if line.startswith(b'data: {"data"'):
                        received.append(json.loads(line[6:])["data"]["messageCreated"]["message"]["content"])
            assert received == everything
        finally:
            writer.close()


async def stalled_stream(server: Server, viewer: Person) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a stream with the smallest possible buffers between the server and the reader."""
    address = urlsplit(server.url)
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.setblocking(False)
    await asyncio.get_running_loop().sock_connect(opened, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=opened, limit=64 * 1024)
    body = json.dumps({"query": MESSAGE_CREATED}).encode()
    writer.write(
        b"POST /graphql HTTP/1.1\r\nhost: test\r\naccept: text/event-stream\r\n"
        b"content-type: application/json\r\n"
        b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b" % (viewer.token.encode(), len(body), body)
    )
    while b"id: " not in await reader.readline():
        pass
    return reader, writer

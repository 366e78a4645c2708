"""A connection to the database that is lost while a reserved stream takes its mail."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.conftest import sign_in
from tests.server.endpoints.test_single_connection import Reserved, comes
from tests.support.clients import http_client
from tests.support.people import StreamOver
from tests.support.proxy import proxy_before
from tests.support.serving import running_server


async def test_a_stream_ends_if_it_is_unknown_whether_an_answer_was_taken(
    cluster: Cluster, database: Database, tmp_path: Path
):
    """The answer is no longer in the mailbox. If the stream went on, its client would wait forever."""
    async with proxy_before(cluster.socket_dir / ".s.PGSQL.5432") as proxy:
        url = f"postgresql+asyncpg://postgres@{proxy.url.removeprefix('http://')}/postgres"
        with ExitStack() as stack:
            # The proxy runs meanwhile.
            server = await asyncio.to_thread(
                stack.enter_context, running_server(tmp_path, database_url=url, dev_login="on")
            )
            async with http_client(server.url) as http:
                reserved = await Reserved.by(await sign_in(http, "ada"), (http, http))
                async with reserved.opened() as stream:
                    await reserved.runs("{ __typename }", "first")
                    assert await comes(stream) == ("first", {"data": {"__typename": "Query"}})
                    await comes(stream, "complete")
                    proxy.cut_within(b'{"data":{"lost":"Query"}}')
                    await reserved.runs("{ lost: __typename }", "second")
                    with pytest.raises(StreamOver):
                        await stream.event()
                again = await Reserved.by(reserved.person, (http, http))
                async with again.opened() as stream:
                    await again.runs("{ lost: __typename }", "second")
                    assert await comes(stream) == ("second", {"data": {"lost": "Query"}})
            await asyncio.to_thread(stack.close)

"""Many tabs of the web client over plain HTTP from another host, where browsers provide no Web Locks."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Error, expect

from db.embedded import Cluster
from tests.support.chromium import needs_chromium
from tests.support.sent_messages import sent_by
from tests.support.serving import Server, eventually, running_server
from tests.support.web_client import Pair, Window, browser_context_of, put_to_sleep, send_to

pytestmark = needs_chromium

STREAMS = "messenger_open_streams"
# Over HTTP/1.1, a browser opens six connections to a server.
MORE_THAN_CONNECTIONS = 8


@dataclass
class Elsewhere:
    """Ada's browser, which considers the server to be another machine."""

    context: BrowserContext
    server: Server
    pair: Pair

    async def opens(self, number: int) -> list[Window]:
        """Open this many tabs with the conversation."""
        origin = f"http://messenger.test:{self.server.port}"
        tabs: list[Window] = []
        for _ in range(number):
            tabs.append(Window(await self.context.new_page(), origin))
            if len(tabs) == 1:
                await tabs[0].signs_in(self.pair.ada.username, at=f"/conversations/{self.pair.conversation}")
            await tabs[-1].opens_conversation(self.pair.conversation)
        assert not await tabs[0].page.evaluate("isSecureContext")
        return tabs

    async def has_streams(self, number: int) -> None:
        """Wait until the server has this many open streams."""
        await eventually(lambda: self.server.metric(STREAMS) == number)


@pytest.fixture
async def elsewhere(
    browser: Browser, cluster: Cluster, pair: Pair, tmp_path: Path
) -> AsyncGenerator[Elsewhere]:
    with running_server(tmp_path, database_url=cluster.url(), dev_login="on") as server:
        async with browser_context_of(browser) as context:
            yield Elsewhere(context, server, pair)


async def leader_among(tabs: list[Window]) -> Window:
    """Find the tab that holds the lease: the one that renews it."""
    renewed = """() => new Promise((resolve) => {
        const own = Storage.prototype.setItem;
        const timer = setTimeout(() => resolve(false), 4000);
        Storage.prototype.setItem = function (key, value) {
            own.call(this, key, value);
            if (!key.startsWith('messenger-lease-messenger-inbox-')) return;
            clearTimeout(timer);
            resolve(true);
        };
    })"""
    leads = await asyncio.gather(*(tab.page.evaluate(renewed) for tab in tabs))
    assert leads.count(True) == 1
    return tabs[leads.index(True)]


async def test_many_tabs_share_a_stream_and_can_send_requests(elsewhere: Elsewhere, pair: Pair):
    tabs = await elsewhere.opens(MORE_THAN_CONNECTIONS)
    await elsewhere.has_streams(1)
    await pair.grace.sends("to all", to=pair.conversation)
    for tab in tabs:
        await tab.sees("to all")
    for tab in (tabs[0], tabs[-1]):
        await tab.page.get_by_label("Find people").fill(pair.grace.username)
        await expect(tab.page.get_by_role("list", name="People found")).to_be_visible()
    await tabs[-1].writes("from the last")
    for tab in tabs:
        await tab.sees("to all", "from the last")
        await expect(tab.page.get_by_text("Sending…")).to_have_count(0)


@pytest.mark.parametrize("end", ["closes", "crashes", "sleeps"])
async def test_another_tab_takes_over_within_seconds_and_misses_nothing(
    elsewhere: Elsewhere, pair: Pair, end: str
):
    tabs = await elsewhere.opens(3)
    await elsewhere.has_streams(1)
    await pair.grace.sends("before", to=pair.conversation)
    for tab in tabs:
        await tab.sees("before")
    leader = await leader_among(tabs)
    others = [tab for tab in tabs if tab is not leader]
    wake: Callable[[], Awaitable[None]] | None = None
    if end == "closes":
        await leader.page.close()
    elif end == "crashes":
        debugger = await elsewhere.context.new_cdp_session(leader.page)
        with suppress(Error, TimeoutError):
            async with asyncio.timeout(2):
                await send_to(debugger, "Page.crash")
    else:
        wake = await put_to_sleep(leader)
    await pair.grace.sends("meanwhile", to=pair.conversation)
    for tab in others:
        await tab.sees("before", "meanwhile")
    await pair.grace.sends("after", to=pair.conversation)
    for tab in others:
        await tab.sees("before", "meanwhile", "after")
    if wake:
        await wake()
        await leader.sees("before", "meanwhile", "after")
    await elsewhere.has_streams(1)


async def test_tabs_without_locks_send_each_message_once(elsewhere: Elsewhere, pair: Pair):
    tabs = await elsewhere.opens(3)
    sent = sent_by(elsewhere.context)
    texts = [f"{number} of 6" for number in range(6)]
    await elsewhere.context.set_offline(True)
    for number, text in enumerate(texts):
        await tabs[number % 3].writes(text)
        for tab in tabs:
            await expect(tab.message(text)).to_be_visible()
    await tabs[0].page.close()
    sent.clear()
    await elsewhere.context.set_offline(False)
    for tab in tabs[1:]:
        await tab.sees(*texts)
        await expect(tab.page.get_by_text("Sending…")).to_have_count(0)
    # A request that the change of the network interrupts is sent again, with the same key.
    assert list(dict.fromkeys(sent)) == texts
    query = (
        "query ($id: ID!) { conversation(id: $id) { messages(last: 100) { edges { node { content } } } } }"
    )
    stored = (await pair.grace.asks(query, id=pair.conversation))["conversation"]["messages"]["edges"]
    assert [edge["node"]["content"] for edge in stored] == texts

"""The web client over bad connections and in several tabs: no message is missing or duplicated."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect
from sqlalchemy import update

from db.embedded import Cluster
from db.engine import Database
from db.tables import inboxes
from schema.node import NodeType
from tests.support.chromium import needs_chromium
from tests.support.proxy import Proxy, proxy_before
from tests.support.serving import Server, eventually, running_server
from tests.support.tables import tables
from tests.support.web_client import (
    HIDING,
    Pair,
    Window,
    browser_context_of,
    held_back,
    put_to_sleep,
    window_of,
)

pytestmark = needs_chromium

STREAMS = "messenger_open_streams"
TEN = [f"missed {number}" for number in range(10)]


@pytest.fixture
async def proxy(server: Server) -> AsyncGenerator[Proxy]:
    async with proxy_before(server.port) as proxy:
        yield proxy


@pytest.fixture
async def window(browser: Browser, proxy: Proxy, pair: Pair) -> AsyncGenerator[Window]:
    """Ada's window, with the conversation open, over a connection that can break."""
    async with window_of(browser, proxy.url) as window:
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.field).to_be_visible()
        yield window


@asynccontextmanager
async def offline(window: Window, proxy: Proxy) -> AsyncGenerator[None]:
    """Take the window offline while the block runs."""
    await window.page.context.set_offline(True)
    # Chromium only blocks new connections.
    proxy.cut()
    await expect(window.offline_line).to_contain_text("You are offline.")
    yield
    await window.page.context.set_offline(False)


async def test_after_being_offline_missed_messages_appear_in_order(window: Window, proxy: Proxy, pair: Pair):
    await pair.grace.sends("before", to=pair.conversation)
    await window.sees("before")
    async with offline(window, proxy):
        for content in TEN:
            await pair.grace.sends(content, to=pair.conversation)
        await window.writes("written offline", "and this")
        await expect(window.message("and this")).to_contain_text("Sending…")
        await window.sees("before", "written offline", "and this")
    await window.sees("before", *TEN, "written offline", "and this")
    await expect(window.offline_line).to_have_text("")
    await expect(window.page.get_by_text("Sending…")).to_have_count(0)
    await pair.grace.sends("after", to=pair.conversation)
    await window.sees("before", *TEN, "written offline", "and this", "after")


async def test_a_connection_that_breaks_is_repaired(window: Window, proxy: Proxy, pair: Pair):
    for number in range(3):
        proxy.cut_within(f"broken off {number}".encode())
        await pair.grace.sends(f"broken off {number}", to=pair.conversation)
        await window.sees(*(f"broken off {each}" for each in range(number + 1)))
    # The message is stored, but its answer is lost.
    proxy.cut_within(b'"createMessage"')
    await window.writes("once")
    await expect(window.message("once")).not_to_contain_text("Sending…")
    await pair.grace.sends("the end", to=pair.conversation)
    await window.sees("broken off 0", "broken off 1", "broken off 2", "once", "the end")


async def test_an_open_page_reconnects_after_a_server_restart(
    browser: Browser, cluster: Cluster, pair: Pair, tmp_path: Path
):
    settings = {"database_url": cluster.url(), "session_cache_seconds": "0"}
    async with browser_context_of(browser) as context:
        with running_server(tmp_path, **settings) as first:
            port = first.port
            window = Window(await context.new_page(), f"http://localhost:{port}")
            await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
            await window.writes("before")
            await expect(window.message("before")).not_to_contain_text("Sending…")
        await expect(window.offline_line).to_contain_text("The server cannot be reached.")
        await window.writes("meanwhile")
        # Served by another process of the same messenger.
        await pair.grace.sends("from elsewhere", to=pair.conversation)
        await window.sees("before", "meanwhile")
        with running_server(tmp_path, port=str(port), **settings):
            await window.sees("before", "from elsewhere", "meanwhile")
            await expect(window.page.get_by_text("Sending…")).to_have_count(0)
            await expect(window.offline_line).to_have_text("")
            await pair.grace.sends("after", to=pair.conversation)
            await window.sees("before", "from elsewhere", "meanwhile", "after")


async def test_an_open_page_offers_to_reload_when_the_server_has_been_updated(window: Window, proxy: Proxy):
    reload = window.page.get_by_role("button", name="Reload")
    async with window.page.expect_response(lambda each: "ServerVersion" in (each.request.post_data or "")):
        proxy.cut()
    await expect(window.offline_line).to_have_text("")
    await expect(reload).to_have_count(0)

    async def answer_as_updated(route: Route) -> None:
        if "ServerVersion" not in (route.request.post_data or ""):
            return await route.continue_()
        response = await route.fetch()
        answer = await response.json()
        answer["data"]["serverInfo"]["version"] = "99.0.0"
        return await route.fulfill(response=response, json=answer)

    await window.page.route("**/graphql", answer_as_updated)
    proxy.cut()
    await expect(reload).to_be_visible()
    await window.page.unroute_all(behavior="ignoreErrors")
    await reload.click()
    await expect(reload).to_have_count(0)
    await expect(window.field).to_be_visible()


async def test_an_expired_cursor_makes_the_page_fetch_everything_again(
    window: Window, proxy: Proxy, database: Database, pair: Pair
):
    await pair.grace.sends("before", to=pair.conversation)
    await window.sees("before")
    async with offline(window, proxy):
        for content in TEN:
            await pair.grace.sends(content, to=pair.conversation)
        viewer = NodeType.USER.decode((await pair.ada.asks("{ viewer { id } }"))["viewer"]["id"])
        async with tables(database) as connection:
            await connection.execute(
                update(inboxes).where(inboxes.c.user_id == viewer).values(trimmed_to=inboxes.c.last_position)
            )
        await window.writes("written offline")
    await window.sees("before", *TEN, "written offline")
    await pair.grace.sends("after", to=pair.conversation)
    await window.sees("before", *TEN, "written offline", "after")


async def test_events_during_the_fetch_of_a_page_are_not_lost(browser: Browser, pair: Pair):
    """An event overtakes the answer, which is older."""
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username)
        written = [f"before {number}" for number in range(60)]  # more than a page
        for content in written:
            await pair.grace.sends(content, to=pair.conversation)
        await expect(window.row(pair.grace.username)).to_contain_text("60 unread")
        answered = asyncio.Event()
        overtaken = asyncio.Event()

        async def answer_late(route: Route) -> None:
            if "query Conversation" not in (route.request.post_data or ""):
                await route.continue_()
                return
            response = await route.fetch()
            answered.set()
            await overtaken.wait()
            await route.fulfill(response=response)

        await window.page.route("**/graphql", answer_late)
        await window.row(pair.grace.username).click()
        await answered.wait()
        await pair.grace.sends("overtakes it", to=pair.conversation)
        await expect(window.row(pair.grace.username)).to_contain_text("overtakes it")
        overtaken.set()
        await window.sees(*written[-50:], "overtakes it")


async def test_two_tabs_share_a_stream_and_stay_in_step(browser: Browser, pair: Pair, server: Server):
    # Streams of the tests before may not have ended yet.
    await eventually(lambda: server.metric(STREAMS) == 0)
    async with browser_context_of(browser) as context:
        leader, other = (
            Window(await context.new_page(), pair.origin),
            Window(await context.new_page(), pair.origin),
        )
        await leader.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await other.goes_to()
        await pair.grace.sends("hello", to=pair.conversation)
        for tab in (leader, other):
            await expect(tab.row(pair.grace.username)).to_contain_text("hello")
        # It is open and visible in one tab, so it counts as read in both.
        await expect(other.row(pair.grace.username)).not_to_contain_text("unread")
        await other.opens_conversation(pair.conversation)
        await other.writes("from the other")
        for tab in (leader, other):
            await tab.sees("hello", "from the other")
        assert server.metric(STREAMS) == 1

        await leader.page.close()
        await pair.grace.sends("the leader is gone", to=pair.conversation)
        await other.sees("hello", "from the other", "the leader is gone")
        await eventually(lambda: server.metric(STREAMS) == 1)

        third = Window(await context.new_page(), pair.origin)
        await third.goes_to("/profile")
        # The list of sessions moves the button.
        await expect(third.page.get_by_text("A Python program")).to_be_visible()
        await third.page.get_by_role("button", name="Sign out", exact=True).click()
        for tab in (third, other):
            await tab.is_at_the_sign_in()
        await eventually(lambda: server.metric(STREAMS) == 0)

        # Signing in in one tab signs in all tabs, and hides the data of the previous user.
        await third.page.get_by_label("Another username").fill(pair.grace.username)
        await third.page.get_by_role("button", name="Sign in", exact=True).click()
        await other.sees("hello", "from the other", "the leader is gone")
        await expect(other.heading(pair.ada.username)).to_be_visible()
        await pair.ada.sends("for Grace now", to=pair.conversation)
        await expect(third.row(pair.ada.username)).to_contain_text("for Grace now")


async def test_a_leader_that_dies_between_events_causes_no_gaps_and_no_duplicates(
    browser: Browser, pair: Pair
):
    async with browser_context_of(browser) as context:
        tabs = [Window(await context.new_page(), pair.origin)]
        await tabs[0].signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        written: list[str] = []
        for round_ in range(3):
            tabs.append(Window(await context.new_page(), pair.origin))
            await tabs[-1].opens_conversation(pair.conversation)
            for number in range(10):
                written.append(f"{round_} {number}")
                await pair.grace.sends(written[-1], to=pair.conversation)
                if number == 5:
                    await tabs.pop(0).page.close()
            await tabs[0].sees(*written)


async def test_signing_in_as_another_user_in_one_tab_changes_all_tabs(browser: Browser, pair: Pair):
    """Without signing out first: the cookie changes to the other user at once, and the page must follow."""
    async with browser_context_of(browser) as context:
        of_ada = Window(await context.new_page(), pair.origin)
        await of_ada.signs_in(pair.ada.username)
        response = await context.request.post(
            f"{pair.origin}/auth/dev/login", data={"username": pair.grace.username}
        )
        assert response.ok
        other = Window(await context.new_page(), pair.origin)
        await other.goes_to()
        for tab in (other, of_ada):
            await expect(
                tab.page.get_by_role("link", name=f"Profile of {pair.grace.username}")
            ).to_be_visible()


async def test_a_delayed_message_keeps_its_place_before_the_next(window: Window, pair: Pair):
    let_through = await held_back(window, '"first"')
    await window.writes("first", "second")
    await pair.grace.sends("overtakes both", to=pair.conversation)
    await window.sees("overtakes both", "first", "second")
    let_through()
    await expect(window.page.get_by_text("Sending…")).to_have_count(0)
    await window.sees("overtakes both", "first", "second")


async def test_messages_in_a_hidden_page_stay_unread_until_it_is_visible(browser: Browser, pair: Pair):
    unread = "query ($id: ID!) { conversation(id: $id) { unreadCount } }"
    async with window_of(browser, pair.origin) as window:
        await window.page.add_init_script(HIDING)
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.field).to_be_visible()
        await window.page.evaluate("hide()")
        await pair.grace.sends("in the background", to=pair.conversation)
        await window.sees("in the background")
        await window.is_titled(f"(1) {pair.grace.username} · Messenger")
        assert (await pair.ada.asks(unread, id=pair.conversation))["conversation"]["unreadCount"] == 1
        await window.page.evaluate("show()")
        await window.is_titled(f"{pair.grace.username} · Messenger")
        assert (await pair.ada.asks(unread, id=pair.conversation))["conversation"]["unreadCount"] == 0


async def test_a_page_from_another_host_over_plain_http_works_too(
    browser: Browser, cluster: Cluster, pair: Pair, tmp_path: Path
):
    """Browsers then provide no locks between tabs."""
    with running_server(tmp_path, database_url=cluster.url(), dev_login="on") as server:
        origin = f"http://messenger.test:{server.port}"
        async with browser_context_of(browser) as context:
            tabs = [Window(await context.new_page(), origin) for _ in range(2)]
            await tabs[0].signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
            await tabs[1].opens_conversation(pair.conversation)
            assert not await tabs[0].page.evaluate("isSecureContext")
            await pair.grace.sends("hello", to=pair.conversation)
            await tabs[0].writes("over plain HTTP")
            for tab in tabs:
                await tab.sees("hello", "over plain HTTP")
                await expect(tab.page.get_by_text("Sending…")).to_have_count(0)


async def test_users_who_write_at_the_same_time_see_the_same_order(browser: Browser, pair: Pair):
    async with window_of(browser, pair.origin) as at_ada, window_of(browser, pair.origin) as at_grace:
        for window, person in ((at_ada, pair.ada), (at_grace, pair.grace)):
            await window.signs_in(person.username, at=f"/conversations/{pair.conversation}")
        await asyncio.gather(
            at_ada.writes(*(f"ada {number}" for number in range(20))),
            at_grace.writes(*(f"grace {number}" for number in range(20))),
        )
        query = (
            "query ($id: ID!) { conversation(id: $id) { messages(last: 40) { edges { node { content } } } } }"
        )
        for window in (at_ada, at_grace):
            await expect(window.messages).to_have_count(40)
            await expect(window.page.get_by_text("Sending…")).to_have_count(0)
        stored = (await pair.ada.asks(query, id=pair.conversation))["conversation"]["messages"]["edges"]
        for window in (at_ada, at_grace):
            await window.sees(*(edge["node"]["content"] for edge in stored))


async def test_a_suspended_leader_is_replaced(browser: Browser, pair: Pair):
    """Phones do so with background tabs: the tab holds its lock, but does nothing."""
    async with browser_context_of(browser) as context:
        leader, other = (
            Window(await context.new_page(), pair.origin),
            Window(await context.new_page(), pair.origin),
        )
        await leader.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await pair.grace.sends("before", to=pair.conversation)
        await leader.sees("before")
        wake = await put_to_sleep(leader)
        await other.opens_conversation(pair.conversation)
        await pair.grace.sends("while it sleeps", to=pair.conversation)
        await other.sees("before", "while it sleeps")
        await wake()
        await leader.sees("before", "while it sleeps")
        await pair.grace.sends("for both", to=pair.conversation)
        for tab in (leader, other):
            await tab.sees("before", "while it sleeps", "for both")

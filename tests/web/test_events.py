"""Edits, deletions, read marks and names arrive in the web client as events, in every tab, without polls."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Request, Route, expect

from db.embedded import Cluster
from tests.support import other_devices
from tests.support.chromium import needs_chromium
from tests.support.proxy import proxy_before
from tests.support.serving import Server, eventually, running_server
from tests.support.web_client import (
    Pair,
    Window,
    answered_late,
    browser_context_of,
    requests_of,
    window_of,
)

pytestmark = needs_chromium

SUBSCRIPTION = "subscription InboxEvents"


def others(bodies: list[str]) -> list[str]:
    """Leave out subscriptions, and what the page asks for when the stream has reconnected."""
    return [body for body in bodies if SUBSCRIPTION not in body and "ServerVersion" not in body]


@asynccontextmanager
async def opened(browser: Browser, pair: Pair) -> AsyncGenerator[Window]:
    """Open Ada's window with the conversation."""
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.field).to_be_visible()
        yield window


async def test_read_marks_move_live(browser: Browser, pair: Pair):
    await pair.ada.sends("one", to=pair.conversation)
    await pair.ada.sends("two", to=pair.conversation)
    async with opened(browser, pair) as window:
        await window.sees("one", "two")
        await expect(window.page.get_by_text("Read", exact=False).locator("visible=true")).to_have_count(0)
        asked = requests_of(window)
        await other_devices.reads(pair.grace, pair.conversation)
        await expect(window.message("two")).to_contain_text("Read")
        await pair.ada.sends("three", to=pair.conversation)
        await window.sees("one", "two", "three")
        await expect(window.message("two")).to_contain_text("Read")
        await expect(window.message("three")).not_to_contain_text("Read")
        # A user who answers has read what was written before.
        await pair.grace.sends("four", to=pair.conversation)
        await expect(window.message("three")).to_contain_text("Read")
        await expect(window.message("two")).not_to_contain_text("Read")
        assert [body for body in asked if "query ReadMarks" in body or "query Conversation" in body] == []


async def test_a_server_without_read_marks_shows_none(
    browser: Browser, cluster: Cluster, pair: Pair, tmp_path: Path
):
    settings = {"database_url": cluster.url(), "dev_login": "on", "read_marks_max_participants": "0"}
    with running_server(tmp_path, **settings) as server:
        async with window_of(browser, f"http://localhost:{server.port}") as window:
            await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
            await window.writes("one")
            await expect(window.message("one")).not_to_contain_text("Sending…")
            await pair.grace.sends("two", to=pair.conversation)
            await window.sees("one", "two")
            await expect(window.message("one")).not_to_contain_text("Read")


async def test_a_new_name_and_picture_appear_everywhere(browser: Browser, pair: Pair):
    await pair.grace.sends("hello", to=pair.conversation)
    renamed = f"renamed-{pair.grace.username}"[:39]
    async with opened(browser, pair) as window:
        await window.sees("hello")
        change = "mutation ($to: String!) { updateProfile(input: { username: $to }) { userErrors { code } } }"
        assert (await pair.grace.asks(change, to=renamed))["updateProfile"]["userErrors"] == []
        await expect(window.heading(renamed)).to_be_visible()
        await expect(window.row(renamed)).to_be_visible()
        await window.is_titled(f"{renamed} · Messenger")
        assert window.complaints == []


async def test_a_deletion_lowers_the_counts_and_is_not_read_aloud(browser: Browser, pair: Pair):
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username)
        await pair.grace.sends("stays", to=pair.conversation)
        regretted = await pair.grace.sends("regretted", to=pair.conversation)
        await window.is_titled("(2) Messenger")
        log = window.page.get_by_role("log")
        await expect(log).to_contain_text("regretted")
        await other_devices.deletes(pair.grace, regretted["id"])
        await window.is_titled("(1) Messenger")
        await expect(window.row(pair.grace.username)).to_contain_text("Message deleted")
        await expect(window.row(pair.grace.username)).to_contain_text("1 unread")
        await expect(log).not_to_contain_text("regretted")
        await expect(log).to_contain_text("stays")


async def test_changes_made_while_the_browser_was_offline_appear_when_it_is_back(
    browser: Browser, server: Server, pair: Pair
):
    edited = await pair.grace.sends("before the edit", to=pair.conversation)
    deleted = await pair.grace.sends("regretted", to=pair.conversation)
    await pair.ada.sends("have you seen it?", to=pair.conversation)
    async with proxy_before(server.port) as proxy, browser_context_of(browser) as context:
        window = Window(await context.new_page(), proxy.url)
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await window.sees("before the edit", "regretted", "have you seen it?")
        await context.set_offline(True)
        proxy.cut()
        await expect(window.offline_line).to_contain_text("You are offline.")
        await other_devices.edits(pair.grace, edited["id"], "edited once")
        await other_devices.edits(pair.grace, edited["id"], "after the edit")
        await other_devices.deletes(pair.grace, deleted["id"])
        await other_devices.reads(pair.grace, pair.conversation)
        await window.sees("before the edit", "regretted", "have you seen it?")
        fetched = requests_of(window, "query Inbox ")
        await context.set_offline(False)
        await window.sees("after the edit", "Message deleted", "have you seen it?")
        await expect(window.message("have you seen it?")).to_contain_text("Read")
        # The stream has resumed, and the page has not started again.
        assert fetched == []


async def test_what_is_read_on_another_device_while_offline_is_read_when_back(
    browser: Browser, server: Server, pair: Pair
):
    async with proxy_before(server.port) as proxy, browser_context_of(browser) as context:
        window = Window(await context.new_page(), proxy.url)
        await window.signs_in(pair.ada.username)
        await pair.grace.sends("hello", to=pair.conversation)
        await window.is_titled("(1) Messenger")
        await context.set_offline(True)
        proxy.cut()
        await expect(window.offline_line).to_contain_text("You are offline.")
        await pair.grace.sends("again", to=pair.conversation)
        await other_devices.reads(pair.ada, pair.conversation)
        await context.set_offline(False)
        await window.is_titled("Messenger")
        await expect(window.row(pair.grace.username)).to_contain_text("again")
        await expect(window.row(pair.grace.username)).not_to_contain_text("unread")


async def test_two_tabs_show_the_same_over_one_stream(browser: Browser, pair: Pair, server: Server):
    # Streams of the tests before may not have ended yet.
    await eventually(lambda: server.metric("messenger_open_streams") == 0)
    hers = await pair.grace.sends("hers", to=pair.conversation)
    await pair.ada.sends("mine", to=pair.conversation)
    await pair.ada.sends("regretted", to=pair.conversation)
    async with browser_context_of(browser) as context:
        tabs = [Window(await context.new_page(), pair.origin) for _ in range(2)]
        await tabs[0].signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await tabs[1].opens_conversation(pair.conversation)
        for tab in tabs:
            await tab.sees("hers", "mine", "regretted")
        # From the leading tab, from the other, and from another browser.
        await tabs[0].edits("mine", to="mine, edited")
        await tabs[1].deletes("regretted")
        await other_devices.edits(pair.grace, hers["id"], "hers, edited")
        await other_devices.reads(pair.grace, pair.conversation)
        for tab in tabs:
            await tab.sees("hers, edited", "mine, edited", "Message deleted")
            await expect(tab.message("Message deleted")).to_contain_text("Read")
        assert server.metric("messenger_open_streams") == 1
        # The next leader resumes after these events.
        await tabs[0].page.close()
        await other_devices.edits(pair.grace, hers["id"], "hers, edited twice")
        await tabs[1].sees("hers, edited twice", "mine, edited", "Message deleted")
        assert tabs[1].complaints == []


async def test_a_page_older_than_events_does_not_undo_them(browser: Browser, pair: Pair):
    edited = await pair.grace.sends("before the edit", to=pair.conversation)
    deleted = await pair.grace.sends("regretted", to=pair.conversation)
    await pair.ada.sends("have you seen it?", to=pair.conversation)
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username)
        answered, let_through = await answered_late(window, "query Conversation")
        await window.row(pair.grace.username).click()
        await answered.wait()
        await other_devices.edits(pair.grace, edited["id"], "after the edit")
        await other_devices.deletes(pair.grace, deleted["id"])
        await other_devices.reads(pair.grace, pair.conversation)
        await pair.ada.sends("new", to=pair.conversation)
        await expect(window.row(pair.grace.username)).to_contain_text("new")
        let_through()
        await window.sees("after the edit", "Message deleted", "have you seen it?", "new")
        await expect(window.message("have you seen it?")).to_contain_text("Read")
        assert window.complaints == []


async def test_an_unread_count_older_than_events_does_not_undo_them(browser: Browser, pair: Pair):
    await pair.grace.sends("first", to=pair.conversation)
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username)
        # The window must not mark anything as read itself.
        await window.page.evaluate("document.hasFocus = () => false; dispatchEvent(new Event('blur'))")
        answered, let_through = await answered_late(window, "query Conversation")
        await window.row(pair.grace.username).click()
        await answered.wait()
        await pair.grace.sends("second", to=pair.conversation)
        await expect(window.row(pair.grace.username)).to_contain_text("2 unread")
        let_through()
        await window.sees("first", "second")
        await expect(window.row(pair.grace.username)).to_contain_text("2 unread")
        await window.is_titled(f"(2) {pair.grace.username} · Messenger")


async def test_an_idle_page_sends_no_requests(browser: Browser, pair: Pair):
    await pair.grace.sends("unread", to=pair.conversation)
    await pair.ada.sends("not read by the other", to=pair.conversation)
    async with window_of(browser, pair.origin) as window:
        await window.page.clock.install()
        # A window without the focus marks nothing as read.
        await window.page.add_init_script("document.hasFocus = () => false;")
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await window.sees("unread", "not read by the other")
        asked = requests_of(window)
        pending = pending_requests(window)
        for number in (1, 2):
            asked.clear()
            await pair.grace.sends(f"arrived {number}", to=pair.conversation)
            await expect(window.messages.last).to_have_text(f"arrived {number}")
            # It asks for the number in the title, and for nothing else. A running request would time out.
            await window.page.clock.run_for(2000)
            await eventually(lambda: len(others(asked)) == 1 and not pending)
            await window.is_titled(f"({number}) {pair.grace.username} · Messenger")
            await window.page.clock.run_for(10 * 60_000)
            assert [json.loads(body)["operationName"] for body in others(asked)] == ["Unread"]


def pending_requests(window: Window) -> set[Request]:
    """Return the set of the window's GraphQL requests that have no answer yet, except for the stream."""
    pending: set[Request] = set()

    def begin(request: Request) -> None:
        if request.url.endswith("/graphql") and SUBSCRIPTION not in (request.post_data or ""):
            pending.add(request)

    def end(request: Request) -> None:
        pending.discard(request)

    window.page.on("request", begin)
    window.page.on("requestfinished", end)
    window.page.on("requestfailed", end)
    return pending


async def test_a_stream_that_has_only_caught_up_resumes_from_there(browser: Browser, pair: Pair):
    async with window_of(browser, pair.origin) as window:
        cursors: list[str] = []

        async def answer(route: Route) -> None:
            body = route.request.post_data or ""
            if SUBSCRIPTION not in body:
                return await route.continue_()
            cursors.append(json.loads(body)["variables"]["after"])
            if len(cursors) > 2:
                return await route.continue_()
            # The stream ends after this event.
            event = {"__typename": "CaughtUp", "cursor": f"caught up {len(cursors)}"}
            text = f"event: next\ndata: {json.dumps({'data': {'inboxEvents': event}})}\n\n"
            return await route.fulfill(content_type="text/event-stream", body=text)

        await window.page.route("**/graphql", answer)
        await window.signs_in(pair.ada.username)
        await eventually(lambda: len(cursors) >= 3)
        assert cursors[1:3] == ["caught up 1", "caught up 2"]

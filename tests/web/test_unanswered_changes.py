"""Edits and deletions in the web client whose requests the server does not answer, or not yet."""

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser, Request, Route, expect

from tests.support.chromium import needs_chromium
from tests.support.proxy import proxy_before
from tests.support.sent_messages import stored_in
from tests.support.serving import Server
from tests.support.web_client import Pair, Window, browser_context_of, held_back, requests_of, window_of

pytestmark = needs_chromium

POISON = "it is in /etc/passwd"
RATE_LIMITED = {
    "errors": [{"message": "Slow down.", "extensions": {"code": "RATE_LIMITED", "retryAfter": 1}}]
}


@pytest.fixture
async def opened(browser: Browser, pair: Pair) -> AsyncGenerator[Window]:
    """Ada's window with two of her messages."""
    for text in ("teh text", "regretted"):
        await pair.ada.sends(text, to=pair.conversation)
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await window.sees("teh text", "regretted")
        yield window


@pytest.mark.parametrize("outage", ["unavailable", "rate limited"])
async def test_changes_are_sent_until_the_server_answers(opened: Window, pair: Pair, outage: str):
    """The event stream stays open meanwhile."""
    attempts = {"EditMessage": 0, "DeleteMessage": 0}

    async def fail(route: Route) -> None:
        body = route.request.post_data or ""
        [changing] = [name for name in attempts if name in body] or [None]
        if changing:
            attempts[changing] += 1
        if outage == "unavailable":
            await route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")
        elif changing:
            await route.fulfill(status=200, content_type="application/json", body=json.dumps(RATE_LIMITED))
        else:
            await route.continue_()

    await opened.page.route("**/graphql", fail)
    await opened.edits("teh text", to="the text")
    await opened.deletes("regretted")
    async with asyncio.timeout(60):
        while min(attempts.values()) < 9:
            # Browsers fire this event when the network has changed, and the page retries immediately.
            await opened.page.evaluate("dispatchEvent(new Event('online'))")
            await asyncio.sleep(0.05)
    await expect(opened.message("the text")).to_contain_text("Saving…")
    await expect(opened.message("Message deleted")).to_contain_text("Deleting…")
    await opened.page.unroute_all(behavior="wait")
    await opened.page.evaluate("dispatchEvent(new Event('online'))")
    await expect(opened.page.get_by_text("Saving…")).to_have_count(0)
    await expect(opened.page.get_by_text("Deleting…")).to_have_count(0)
    assert await stored_in(pair) == ["the text", ""]


async def test_an_edit_whose_connection_always_fails_is_rejected_with_its_text(opened: Window, pair: Pair):
    async def firewall(route: Route) -> None:
        if POISON in (route.request.post_data or ""):
            await route.abort("connectionreset")
        else:
            await route.continue_()

    await opened.page.route("**/graphql", firewall)
    await opened.edits("teh text", to=POISON)
    rejected = opened.page.get_by_role("alert").filter(has_text="Not saved")
    await expect(rejected).to_contain_text(POISON, timeout=60_000)
    await opened.sees("teh text", "regretted")
    assert await stored_in(pair) == ["teh text", "regretted"]


async def test_a_discarded_edit_that_is_saved_after_all_is_not_in_conflict_with_the_next(
    opened: Window, pair: Pair
):
    let_through = await held_back(opened, "EditMessage")
    await opened.edits("teh text", to="first")
    await opened.message("first").get_by_role("button", name="Discard").click()
    await opened.chooses("Edit", of="teh text")
    await opened.field.fill("second")
    async with opened.page.expect_response(lambda each: "EditMessage" in (each.request.post_data or "")):
        let_through()
    await opened.sees("first", "regretted")
    await opened.field.press("Enter")
    await opened.sees("second", "regretted")
    await expect(opened.page.get_by_text("Saving…")).to_have_count(0)
    await expect(opened.page.get_by_text("Not saved")).to_have_count(0)
    assert await stored_in(pair) == ["second", "regretted"]


async def test_changes_are_repeated_less_and_less_often_while_offline(
    browser: Browser, server: Server, pair: Pair
):
    await pair.ada.sends("teh text", to=pair.conversation)
    async with proxy_before(server.port) as proxy, browser_context_of(browser) as context:
        window = Window(await context.new_page(), proxy.url)
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await window.sees("teh text")
        # Wait for the longest time each time.
        await window.page.evaluate("Math.random = () => 1")
        await context.set_offline(True)
        proxy.cut()
        await expect(window.offline_line).to_contain_text("You are offline.")
        times: list[float] = []
        fourth = asyncio.Event()

        def note(request: Request) -> None:
            if "EditMessage" in (request.post_data or ""):
                times.append(asyncio.get_running_loop().time())
                if len(times) == 4:
                    fourth.set()

        window.page.on("request", note)
        await window.edits("teh text", to="the text")
        async with asyncio.timeout(40):
            await fourth.wait()
        assert times[3] - times[2] > 2 * (times[1] - times[0])


async def test_signing_out_in_another_tab_discards_changes(browser: Browser, pair: Pair):
    await pair.ada.sends("teh text", to=pair.conversation)
    async with browser_context_of(browser) as context:
        here, there = (
            Window(await context.new_page(), pair.origin),
            Window(await context.new_page(), pair.origin),
        )
        await here.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await there.opens_conversation(pair.conversation)
        await there.sees("teh text")
        await held_back(there, "EditMessage")
        await there.edits("teh text", to="the text")
        await expect(there.message("the text")).to_contain_text("Saving…")
        await here.page.get_by_role("link", name="Profile of").click()
        await here.page.get_by_role("button", name="Sign out", exact=True).click()
        for tab in (here, there):
            await tab.is_at_the_sign_in()
        await there.page.unroute_all(behavior="ignoreErrors")
        repeated = requests_of(there, "EditMessage")
        await there.page.get_by_label("Another username").fill(pair.ada.username)
        await there.page.get_by_role("button", name="Sign in", exact=True).click()
        await there.sees("teh text")
        await there.writes("afterwards")
        await expect(there.message("afterwards")).not_to_contain_text("Sen")
        assert repeated == []


async def test_signing_out_says_that_a_change_has_not_been_sent(opened: Window):
    let_through = await held_back(opened, "EditMessage")
    await opened.edits("teh text", to="the text")
    await opened.page.get_by_role("link", name="Profile of").click()
    await opened.page.get_by_role("button", name="Sign out", exact=True).click()
    asked = opened.page.get_by_role("alert").filter(has_text="A message or change has not been sent yet.")
    await expect(asked).to_be_visible()
    let_through()
    await expect(asked).to_have_count(0)

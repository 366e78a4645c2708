"""Messages written in the web client are sent once, in order, from any tab, and only for their author."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser, Dialog, Route, expect

from tests.conftest import SignIn
from tests.support.chromium import needs_chromium
from tests.support.sent_messages import sent_by, stored_in
from tests.support.serving import eventually
from tests.support.web_client import Pair, Window, browser_context_of, held_back, window_of

pytestmark = needs_chromium

POISON = "it is in /etc/passwd"
MESSAGES = """
    query ($id: ID!) { conversation(id: $id) { messages { edges { node { content author { username } } } } } }
"""


@pytest.fixture
async def window(browser: Browser, pair: Pair) -> AsyncGenerator[Window]:
    """Ada's window, with the conversation open."""
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.field).to_be_visible()
        yield window


async def is_sent(window: Window, text: str) -> None:
    await expect(window.message(text)).to_have_count(1)
    await expect(window.message(text)).not_to_contain_text("Sending…", timeout=20_000)


@pytest.mark.parametrize("status", [400, 403, 413, 422])
async def test_a_message_that_a_firewall_rejects_is_marked_and_the_next_is_sent(
    window: Window, pair: Pair, status: int
):
    async def firewall(route: Route) -> None:
        if POISON in (route.request.post_data or ""):
            await route.fulfill(status=status, content_type="text/html", body="<h1>Access denied</h1>")
        else:
            await route.continue_()

    await window.page.route("**/graphql", firewall)
    await window.writes("before", POISON, "after")
    refused = window.message(POISON)
    await expect(refused).to_contain_text(f"Not sent: The request was rejected (HTTP {status}).")
    await is_sent(window, "after")
    assert await stored_in(pair) == ["before", "after"]
    await window.page.unroute_all(behavior="wait")
    await refused.get_by_role("button", name="Try again").click()
    await is_sent(window, POISON)
    await window.sees("before", "after", POISON)


async def test_a_message_whose_connection_always_fails_does_not_block_the_others(
    window: Window, pair: Pair, signs_in: SignIn
):
    other = await signs_in("other")
    with_other = await pair.ada.opens_conversation_with(other)
    await other.sends("hello", to=with_other)

    async def firewall(route: Route) -> None:
        if POISON in (route.request.post_data or ""):
            await route.abort("connectionreset")
        else:
            await route.continue_()

    await window.page.route("**/graphql", firewall)
    await window.writes(POISON, "after")
    await window.opens(other.username)
    await window.writes("elsewhere")
    await is_sent(window, "elsewhere")
    await window.opens(pair.grace.username)
    await expect(window.message(POISON)).to_contain_text("Not sent", timeout=60_000)
    await is_sent(window, "after")
    assert await stored_in(pair) == ["after"]


async def test_an_outage_never_marks_a_message_as_failed(window: Window, pair: Pair):
    attempts = 0

    async def unavailable(route: Route) -> None:
        nonlocal attempts
        attempts += "SendMessage" in (route.request.post_data or "")
        if attempts % 2:
            await route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")
        else:
            await route.abort("connectionrefused")

    await window.page.route("**/graphql", unavailable)
    await window.writes("patient")

    async with asyncio.timeout(60):
        while attempts < 9:
            # Browsers fire this event when the network has changed, and the page retries immediately.
            await window.page.evaluate("dispatchEvent(new Event('online'))")
            await asyncio.sleep(0.05)
    await expect(window.message("patient")).to_contain_text("Sending…")
    await window.page.unroute_all(behavior="wait")
    await is_sent(window, "patient")
    assert await stored_in(pair) == ["patient"]


async def test_waiting_messages_can_be_discarded_offline(window: Window, pair: Pair):
    await window.page.context.set_offline(True)
    await window.writes("for the wrong person", "for Grace")
    await window.message("for the wrong person").get_by_role("button", name="Discard").click()
    await window.sees("for Grace")
    await window.page.context.set_offline(False)
    await is_sent(window, "for Grace")
    assert await stored_in(pair) == ["for Grace"]


async def test_leaving_needs_confirmation_only_while_messages_wait(window: Window, pair: Pair):
    let_through = await held_back(window, "SendMessage")
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    await window.writes("on its way")
    await expect(window.message("on its way")).to_contain_text("Sending…")
    window.page.on("dialog", stay)
    await window.page.close(run_before_unload=True)

    await eventually(lambda: asked == ["beforeunload"])
    let_through()
    await is_sent(window, "on its way")
    async with window.page.expect_event("close"):
        await window.page.close(run_before_unload=True)
    assert asked == ["beforeunload"]


async def test_messages_unsent_when_the_last_tab_closes_are_sent_once_by_the_next(
    browser: Browser, pair: Pair
):
    async with browser_context_of(browser) as context:
        first = Window(await context.new_page(), pair.origin)
        await first.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        # The message is stored, but the answer does not arrive.
        stalled = asyncio.Event()

        async def stall(route: Route) -> None:
            if "SendMessage" in (route.request.post_data or ""):
                await route.fetch()
                stalled.set()
            else:
                await route.continue_()

        await first.page.route("**/graphql", stall)
        await first.writes("answer lost", "never asked for")
        async with asyncio.timeout(20):
            await stalled.wait()
        await first.page.close()
        next_ = Window(await context.new_page(), pair.origin)
        await next_.opens_conversation(pair.conversation)
        await next_.sees("answer lost", "never asked for")
        await is_sent(next_, "never asked for")
        assert await stored_in(pair) == ["answer lost", "never asked for"]


async def test_tabs_share_unsent_messages_and_send_them_once(browser: Browser, pair: Pair):
    async with browser_context_of(browser) as context:
        one, other = (
            Window(await context.new_page(), pair.origin),
            Window(await context.new_page(), pair.origin),
        )
        await one.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await other.opens_conversation(pair.conversation)
        await context.set_offline(True)
        await one.writes("one 1", "wrong")
        await other.writes("other 1")
        await one.writes("one 2")
        for tab in (one, other):
            await tab.sees("one 1", "wrong", "other 1", "one 2")
        await other.message("wrong").get_by_role("button", name="Discard").click()
        await one.sees("one 1", "other 1", "one 2")
        await one.page.close()
        sent = sent_by(context)
        await context.set_offline(False)
        await other.sees("one 1", "other 1", "one 2")
        await is_sent(other, "one 2")
        assert await stored_in(pair) == ["one 1", "other 1", "one 2"]
        assert sent == ["one 1", "other 1", "one 2"]


async def test_two_tabs_that_reconnect_together_send_each_message_once(browser: Browser, pair: Pair):
    texts = [f"{number} of 10" for number in range(10)]
    async with browser_context_of(browser) as context:
        tabs = [Window(await context.new_page(), pair.origin) for _ in range(3)]
        await tabs[0].signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        for tab in tabs[1:]:
            await tab.opens_conversation(pair.conversation)
        await context.set_offline(True)
        for number, text in enumerate(texts):
            await tabs[number % 3].writes(text)
            # Makes the order the same for all of them.
            for tab in tabs:
                await expect(tab.message(text)).to_be_visible()
        sent = sent_by(context)
        await context.set_offline(False)
        for tab in tabs:
            await tab.sees(*texts)
            await expect(tab.page.get_by_text("Sending…")).to_have_count(0)
        assert await stored_in(pair) == texts
        assert sent == texts


async def test_unsent_messages_wait_for_their_author_to_sign_in_again(browser: Browser, pair: Pair):
    async with browser_context_of(browser) as context:
        window = Window(await context.new_page(), pair.origin)
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.field).to_be_visible()
        await held_back(window, "SendMessage")
        await window.writes("from Ada")
        await window.field.fill("a draft of Ada's")
        await pair.ada.asks("mutation { endOtherSessions { endedSessionIds } }")
        await window.is_at_the_sign_in()
        await window.page.unroute_all(behavior="ignoreErrors")
        for person in (pair.grace, pair.ada):
            await window.page.get_by_label("Another username").fill(person.username)
            await window.page.get_by_role("button", name="Sign in", exact=True).click()
            await expect(window.field).to_be_visible()
            if person is pair.grace:
                await window.writes("from Grace")
                await is_sent(window, "from Grace")
                await window.sees("from Grace")
                await expect(window.field).to_have_value("")
                await person.asks("mutation { endOtherSessions { endedSessionIds } }")
                await window.is_at_the_sign_in()
        await window.sees("from Grace", "from Ada")
        await is_sent(window, "from Ada")
        await expect(window.field).to_have_value("a draft of Ada's")
        answer = await pair.ada.asks(MESSAGES, id=pair.conversation)
        written = [
            (edge["node"]["author"]["username"], edge["node"]["content"])
            for edge in answer["conversation"]["messages"]["edges"]
        ]
        assert written == [(pair.grace.username, "from Grace"), (pair.ada.username, "from Ada")]


async def test_a_tab_never_sends_as_a_user_who_has_signed_in_meanwhile(browser: Browser, pair: Pair):
    """The cookie is the other user's, and this tab does not know yet."""
    async with browser_context_of(browser) as context:
        window = Window(await context.new_page(), pair.origin)
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.field).to_be_visible()
        response = await context.request.post(
            f"{pair.origin}/auth/dev/login", data={"username": pair.grace.username}
        )
        assert response.ok
        await window.writes("from Ada")
        await expect(
            window.page.get_by_role("link", name=f"Profile of {pair.grace.username}")
        ).to_be_visible()
        await window.sees()
        assert await stored_in(pair) == []


async def test_signing_out_needs_confirmation_and_discards_unsent_messages(browser: Browser, pair: Pair):
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.field).to_be_visible()
        await held_back(window, "SendMessage")
        await window.writes("unsent")
        await window.field.fill("a draft")
        await window.page.get_by_role("link", name="Profile of").click()
        await window.page.get_by_role("button", name="Sign out", exact=True).click()
        await expect(window.page.get_by_role("alert").filter(has_text="not been sent yet")).to_be_visible()
        await window.page.get_by_role("button", name="Discard and sign out").click()
        await window.is_at_the_sign_in()
        kept = await window.page.evaluate(
            "Object.keys(localStorage).filter((key) => /unsent|draft/.test(key))"
        )
        assert kept == []


async def test_what_is_rejected_in_another_conversation_is_marked_in_the_list(
    window: Window, pair: Pair, signs_in: SignIn
):
    other = await signs_in("other")
    await other.sends("hello", to=await pair.ada.opens_conversation_with(other))
    await window.writes("teh text")
    await is_sent(window, "teh text")
    let_through = asyncio.Event()

    async def firewall(route: Route) -> None:
        if POISON not in (route.request.post_data or ""):
            return await route.continue_()
        await let_through.wait()
        return await route.fulfill(status=413, content_type="text/html", body="<h1>Too large</h1>")

    await window.page.route("**/graphql", firewall)
    await window.edits("teh text", to=f"edited: {POISON}")
    await window.writes(f"new: {POISON}")
    await window.opens(other.username)
    preview = window.row(pair.grace.username).locator(".preview")
    said = window.page.get_by_role("status").filter(has_text="rejected")
    await expect(preview).not_to_contain_text("Not")
    await expect(said).to_have_count(0)
    let_through.set()
    await expect(preview).to_have_text(f"Not sent: new: {POISON}")
    await expect(said).to_have_text(
        "A message or change has been rejected. Its conversation is marked in the list."
    )
    await window.opens(pair.grace.username)
    await expect(said).to_have_count(0)
    await window.message(f"new: {POISON}").get_by_role("button", name="Discard").click()
    await expect(preview).to_have_text(f"Not saved: edited: {POISON}")
    await window.page.get_by_role("button", name="Discard").click()
    await expect(preview).to_have_text("You: teh text")

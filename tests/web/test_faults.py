"""The web client when something in it fails, or its browser stores nothing."""

import json
from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser, Route, expect

from tests.conftest import SignIn
from tests.support.chromium import needs_chromium
from tests.support.web_client import Pair, Window, browser_context_of, held_back, window_of

pytestmark = needs_chromium


@pytest.fixture
async def window(browser: Browser, pair: Pair) -> AsyncGenerator[Window]:
    """A window in which Ada has signed in."""
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username)
        yield window


async def corrupts(window: Window, content: str) -> None:
    """Replace the message that has this content with one that the window cannot display."""

    async def corrupted(route: Route) -> None:
        if "subscription" in (route.request.post_data or ""):
            await route.continue_()
        else:
            response = await route.fetch()
            whole = json.dumps(content)
            answer = (await response.text()).replace(f'"content":{whole}', '"content":{"not":"a text"}')
            await route.fulfill(response=response, body=answer)

    await window.page.route("**/graphql", corrupted)


async def test_a_message_that_cannot_be_displayed_does_not_hide_the_others(window: Window, pair: Pair):
    for content in ("before", "corrupted", "after"):
        await pair.grace.sends(content, to=pair.conversation)
    await corrupts(window, "corrupted")
    await window.opens_conversation(pair.conversation)
    await window.sees("before", "after")
    await expect(window.page.locator(".message")).to_have_count(3)
    await expect(window.page.get_by_text("This message cannot be shown.")).to_be_visible()
    await window.writes("it works")
    await window.sees("before", "after", "it works")
    # React reports the error.
    assert any("not a function" in each for each in window.complaints)


async def test_a_conversation_that_cannot_be_displayed_does_not_hide_the_others(
    window: Window, pair: Pair, signs_in: SignIn
):
    other = await signs_in("other")
    await other.sends("hello", to=await other.opens_conversation_with(pair.ada))
    await pair.grace.sends("corrupted", to=pair.conversation)
    await corrupts(window, "corrupted")
    await window.goes_to()
    await expect(window.page.get_by_text("This conversation cannot be shown.")).to_be_visible()
    await window.opens(other.username)
    await window.writes("it works")
    await window.sees("hello", "it works")


async def test_a_pane_that_fails_says_so_and_keeps_the_list(window: Window, pair: Pair):
    await pair.grace.sends("hello", to=pair.conversation)
    await expect(window.row(pair.grace.username)).to_be_visible()
    await window.page.evaluate("window.Observer = ResizeObserver; delete window.ResizeObserver")
    await window.row(pair.grace.username).click()
    await expect(window.heading("This page cannot be shown")).to_be_visible()
    await expect(window.page.get_by_role("alert")).to_contain_text("ResizeObserver is not defined")
    await window.page.get_by_role("link", name="Profile of").click()
    await expect(window.heading("Profile")).to_be_visible()
    await window.page.go_back()
    await expect(window.heading("This page cannot be shown")).to_be_visible()
    # A reload restores what is missing.
    await window.page.get_by_role("button", name="Reload").click()
    await window.sees("hello")


@pytest.mark.parametrize(
    "storage",
    [
        "const get = () => { throw new DOMException('no', 'SecurityError'); };"
        "Object.defineProperty(window, 'localStorage', { get });",
        "Object.defineProperty(window, 'localStorage', { get: () => null })",
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }",
    ],
    ids=["denied", "null", "full"],
)
@pytest.mark.parametrize("locks", [True, False], ids=["locks", "no locks"])
async def test_without_storage_everything_works_until_the_tab_closes(
    browser: Browser, pair: Pair, storage: str, locks: bool
):
    async with browser_context_of(browser) as context:
        await context.add_init_script(storage)
        if not locks:
            await context.add_init_script("delete Navigator.prototype.locks")
        window = Window(await context.new_page(), pair.origin)
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.page.get_by_text("does not store data")).to_have_count(0)
        let_through = await held_back(window, "SendMessage")
        await window.writes("kept in the tab")
        await window.field.fill("a draft")
        warning = window.page.get_by_text("does not store data for this site")
        await expect(warning).to_be_visible()
        await window.page.get_by_role("button", name="OK").click()
        await window.page.get_by_role("link", name="Profile of").click()
        await window.page.go_back()
        await expect(window.field).to_have_value("a draft")
        await window.sees("kept in the tab")
        let_through()
        await expect(window.message("kept in the tab")).not_to_contain_text("Sending…")
        await window.field.press("Enter")
        await expect(window.message("a draft")).to_be_visible()
        await expect(window.page.get_by_text("Sending…")).to_have_count(0)
        await pair.grace.sends("an answer", to=pair.conversation)
        await window.sees("kept in the tab", "a draft", "an answer")
        # The notice appears once.
        await expect(warning).to_have_count(0)
        assert [each for each in window.complaints if "Uncaught" in each] == []

"""Unsent drafts in the web client."""

from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser, expect

from tests.conftest import SignIn
from tests.support.chromium import needs_chromium
from tests.support.web_client import PHONE, Pair, Window, browser_context_of, held_back, send_to, window_of

pytestmark = needs_chromium


@pytest.fixture
async def window(browser: Browser, pair: Pair) -> AsyncGenerator[Window]:
    """Ada's window, with the conversation open."""
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.field).to_be_visible()
        yield window


async def test_a_draft_survives_a_reload_another_conversation_and_closing_the_tab(
    browser: Browser, pair: Pair, signs_in: SignIn
):
    other = await signs_in("other")
    for person, conversation in (
        (other, await other.opens_conversation_with(pair.ada)),
        (pair.grace, pair.conversation),
    ):
        await person.sends("hello", to=conversation)
    async with browser_context_of(browser) as context:
        window = Window(await context.new_page(), pair.origin)
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await window.field.fill("for Grace\nwith care")
        await window.opens(other.username)
        await expect(window.field).to_have_value("")
        await window.field.fill("for the other")
        await window.page.reload()
        await expect(window.field).to_have_value("for the other")
        await window.page.close()
        window = Window(await context.new_page(), pair.origin)
        await window.opens_conversation(pair.conversation)
        await expect(window.field).to_have_value("for Grace\nwith care")
        await window.field.press("Enter")
        await window.sees("hello", "for Grace\nwith care")
        await window.page.reload()
        await expect(window.field).to_have_value("")


async def test_a_draft_survives_the_end_of_the_session_but_not_signing_out(window: Window, pair: Pair):
    await window.field.fill("careful")
    await pair.ada.asks("mutation { endOtherSessions { endedSessionIds } }")
    await window.is_at_the_sign_in()
    await window.page.get_by_label("Another username").fill(pair.ada.username)
    await window.page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(window.field).to_have_value("careful")
    await window.page.get_by_role("link", name="Profile of").click()
    await window.page.get_by_role("button", name="Sign out", exact=True).click()
    await window.is_at_the_sign_in()
    assert await window.page.evaluate("JSON.stringify(localStorage).includes('careful')") is False
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await expect(window.field).to_have_value("")


async def test_a_draft_is_copied_to_a_background_tab_and_cleared_there_when_sent(
    browser: Browser, pair: Pair
):
    async with browser_context_of(browser) as context:
        # A headless browser focuses every page.
        await context.add_init_script("document.hasFocus = () => false")
        here, there = (
            Window(await context.new_page(), pair.origin),
            Window(await context.new_page(), pair.origin),
        )
        await here.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await there.opens_conversation(pair.conversation)
        await here.field.fill("begun here")
        await expect(there.field).to_have_value("begun here")
        await here.field.press("Enter")
        await expect(there.field).to_have_value("")


async def test_drafts_are_limited(window: Window, pair: Pair):
    """The oldest drafts are dropped when there are too many, and an overlong one is truncated."""
    viewer = (await pair.ada.asks("{ viewer { id } }"))["viewer"]["id"]
    await window.page.evaluate(
        """(viewer) => {
            for (let at = 0; at < 300; at++)
                localStorage.setItem(`messenger-draft-${viewer}-C${at}`, JSON.stringify({ text: 'x', at }));
        }""",
        viewer,
    )
    await window.field.fill("y" * 30_000)
    await expect(window.page.get_by_text("Only the first 10,000 are kept as a draft.")).to_be_visible()
    drafts = "Object.entries(localStorage).filter(([key]) => key.startsWith('messenger-draft-'))"
    assert await window.page.evaluate(f"{drafts}.length") == 100
    assert await window.page.evaluate(f"{drafts}.filter(([key]) => key.endsWith('-C0')).length") == 0
    await window.page.reload()
    await expect(window.field).to_have_value("y" * 10_000)


async def test_drafts_of_other_users_are_deleted_after_a_month(window: Window, pair: Pair):
    viewer = (await pair.ada.asks("{ viewer { id } }"))["viewer"]["id"]
    kept = await window.page.evaluate(
        """(viewer) => {
            const day = 24 * 60 * 60 * 1000;
            const keep = (key, kept) => localStorage.setItem(key, JSON.stringify({ text: 'x', ...kept }));
            for (const days of [29, 31]) {
                const at = Date.now() - days * day;
                for (const user of [viewer, 'other']) keep(`messenger-draft-${user}-${days}`, { at });
                keep(`messenger-unsent-other-${days}`, { createdAt: new Date(at) });
            }
            return Object.keys(localStorage).filter((key) => !/other-31/.test(key)).sort();
        }""",
        viewer,
    )
    await window.page.reload()
    await expect(window.field).to_be_visible()
    own = "Object.keys(localStorage).filter((key) => /draft|unsent/.test(key)).sort()"
    assert await window.page.evaluate(own) == [key for key in kept if "draft" in key or "unsent" in key]


ENTER = """(field, {keyCode, isComposing}) => field.dispatchEvent(new KeyboardEvent('keydown', {
    key: 'Enter', code: 'Enter', keyCode, which: keyCode, isComposing, bubbles: true, cancelable: true
}))"""


@pytest.mark.parametrize(
    ("key_code", "is_composing"), [(229, False), (229, True), (13, True)], ids=["safari", "chrome", "firefox"]
)
async def test_enter_in_an_input_method_does_not_send(
    window: Window, pair: Pair, key_code: int, is_composing: bool
):
    await held_back(window, "SendMessage")
    await window.field.fill("にほんご")
    # True: the key keeps its default action, which belongs to the input method here.
    assert await window.field.evaluate(ENTER, {"keyCode": key_code, "isComposing": is_composing}) is True
    await expect(window.field).to_have_value("にほんご")
    assert await window.field.evaluate(ENTER, {"keyCode": 13, "isComposing": False}) is False
    await window.sees("にほんご")
    await expect(window.field).to_have_value("")


async def test_a_real_composition_is_sent_by_the_next_enter(window: Window, pair: Pair):
    """Chromium's own composition events, as an input method causes them."""
    debugger = await window.page.context.new_cdp_session(window.page)
    await window.field.focus()
    await send_to(debugger, "Input.imeSetComposition", text="にほんご", selectionStart=4, selectionEnd=4)
    await expect(window.field).to_have_value("にほんご")
    key = {"type": "rawKeyDown", "key": "Process", "windowsVirtualKeyCode": 229}
    await send_to(debugger, "Input.dispatchKeyEvent", **key)
    await send_to(debugger, "Input.insertText", text="日本語")
    await expect(window.field).to_have_value("日本語")
    await window.field.press("Enter")
    await window.sees("日本語")


async def test_enter_on_a_virtual_keyboard_starts_a_new_line(browser: Browser, pair: Pair):
    async with window_of(browser, pair.origin, viewport=PHONE, has_touch=True, is_mobile=True) as window:
        await window.signs_in(pair.ada.username)
        await window.opens_conversation(pair.conversation)
        await window.field.fill("one")
        for key_code in (229, 13):
            assert await window.field.evaluate(ENTER, {"keyCode": key_code, "isComposing": False}) is True
        await expect(window.field).to_have_value("one")
        await window.page.get_by_role("button", name="Send").tap()
        await window.sees("one")

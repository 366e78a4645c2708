"""Back and Forward in the web client restore the scroll position; forced colours are readable."""

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.conftest import SignIn
from tests.support import other_devices
from tests.support.chromium import needs_chromium
from tests.support.serving import eventually_async
from tests.support.web_client import DESKTOP, PHONE, Pair, Window, held_back, window_of

pytestmark = needs_chromium


async def top_of(message: Locator) -> float:
    box = await message.bounding_box()
    assert box is not None
    return box["y"]


async def scrolled_to(window: Window, text: str) -> float:
    """Scroll the conversation until the message is near the top, and return its position."""
    message = window.message(text)

    async def has_left_the_end() -> bool:
        # While the page still loads, the conversation may be kept at its end.
        await message.evaluate(
            """each => {
                const scroller = each.closest('.scroller');
                const top = (element) => element.getBoundingClientRect().top;
                scroller.scrollTop += top(each) - top(scroller) - 40;
            }"""
        )
        return await window.page.get_by_role("button", name="Newest").is_visible()

    await eventually_async(has_left_the_end)
    return await top_of(message)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_back_restores_the_reading_position(
    browser: Browser, pair: Pair, signs_in: SignIn, viewport: dict[str, int]
):
    alan = await signs_in("alan")
    await alan.sends("hello", to=await alan.opens_conversation_with(pair.ada))
    for number in range(80):
        await pair.grace.sends(f"number {number}.", to=pair.conversation)
    async with window_of(browser, pair.origin, viewport=viewport) as window:
        is_phone = viewport == PHONE
        await window.signs_in(pair.ada.username)
        await window.opens(pair.grace.username)
        await expect(window.message("number 79.")).to_be_in_viewport()
        # The position is among earlier messages, which were loaded for it.
        await scrolled_to(window, "number 31.")
        await expect(window.messages).to_have_count(80)
        place = await scrolled_to(window, "number 12.")
        if is_phone:
            await window.page.get_by_role("link", name="Back to the conversations").click()
        await window.opens(alan.username)
        await pair.grace.sends("number 80.", to=pair.conversation)
        for _ in range(2 if is_phone else 1):
            await window.page.go_back()
        await expect(window.messages).to_have_count(81)
        assert abs(await top_of(window.message("number 12.")) - place) < 2
        # New messages are below, and unread.
        await expect(window.page.get_by_role("button", name="1 new")).to_be_visible()
        # A link to the conversation still leads to its end.
        if is_phone:
            await window.page.get_by_role("link", name="Back to the conversations").click()
            await expect(window.row(pair.grace.username)).to_contain_text("1 unread")
        else:
            await window.opens(alan.username)
        await window.opens(pair.grace.username)
        await expect(window.message("number 80.")).to_be_in_viewport()
        assert window.complaints == []


async def test_a_reload_restores_the_reading_position(browser: Browser, pair: Pair):
    for number in range(60):
        await pair.grace.sends(f"number {number}.", to=pair.conversation)
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.message("number 59.")).to_be_in_viewport()
        place = await scrolled_to(window, "number 30.")
        await window.page.reload()
        await expect(window.message("number 30.")).to_be_in_viewport()
        assert abs(await top_of(window.message("number 30.")) - place) < 2


async def test_a_reload_loads_earlier_messages_to_restore_the_reading_position(browser: Browser, pair: Pair):
    for number in range(170):
        await pair.grace.sends(f"number {number}.", to=pair.conversation)
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.message("number 169.")).to_be_in_viewport()
        for first in (120, 70, 20):
            await scrolled_to(window, f"number {first}.")
            await expect(window.message(f"number {max(first - 50, 0)}.")).to_be_attached()
        place = await scrolled_to(window, "number 12.")
        await pair.grace.sends("unread", to=pair.conversation)
        await window.is_titled(f"(1) {pair.grace.username} · Messenger")
        await held_back(window, '"before":')
        await window.page.reload()
        await expect(window.page.get_by_role("button", name="1 new")).to_be_visible()
        await expect(window.messages).to_have_count(50)
        # Also after a reload before the earlier messages have been loaded.
        await window.page.unroute_all(behavior="ignoreErrors")
        await window.page.reload()
        await expect(window.message("number 12.")).to_be_in_viewport()
        assert abs(await top_of(window.message("number 12.")) - place) < 2
        await expect(window.page.get_by_role("button", name="1 new")).to_be_visible()
        await window.is_titled(f"(1) {pair.grace.username} · Messenger")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_the_list_keeps_its_scroll_position(
    browser: Browser, pair: Pair, signs_in: SignIn, viewport: dict[str, int]
):
    others = [await signs_in(f"other{number}") for number in range(24)]
    for other in others:
        await other.sends("hello", to=await other.opens_conversation_with(pair.ada))
    async with window_of(browser, pair.origin, viewport=viewport) as window:
        await window.signs_in(pair.ada.username)
        oldest = window.row(others[0].username)
        await oldest.scroll_into_view_if_needed()
        place = await top_of(oldest)
        await window.opens(others[0].username)
        await window.page.go_back()
        await expect(oldest).to_be_in_viewport()
        # Its badge has disappeared, and so has some of its height.
        assert abs(await top_of(oldest) - place) < 10


async def test_forced_colours_show_open_unread_and_focused_items(
    browser: Browser, pair: Pair, signs_in: SignIn
):
    alan = await signs_in("alan")
    await alan.sends("hello", to=await alan.opens_conversation_with(pair.ada))
    await pair.grace.sends("hello", to=pair.conversation)
    async with window_of(browser, pair.origin, forced_colors="active") as window:
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        current, other = window.row(pair.grace.username), window.row(alan.username)
        await expect(current).to_have_attribute("aria-current", "page")
        for row in (current, other):
            await expect(row).to_be_visible()
        background = "each => getComputedStyle(each).backgroundColor"
        assert await current.evaluate(background) != await other.evaluate(background)
        colour = "each => getComputedStyle(each.querySelector('.preview')).color"
        assert await current.evaluate(colour) != await current.evaluate(background)
        border = "each => getComputedStyle(each.querySelector('.unread')).borderTopWidth"
        assert await other.evaluate(border) == "1px"
        for row in (current, other):
            await row.focus()
            await window.page.keyboard.press("Shift+Tab")
            await window.page.keyboard.press("Tab")
            await expect(row).to_be_focused()
            assert await row.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
            assert await row.evaluate("each => getComputedStyle(each).outlineWidth") == "3px"


async def test_what_is_read_stays_in_place_when_messages_above_are_edited_or_deleted(
    browser: Browser, pair: Pair
):
    sent = [await pair.grace.sends(f"number {number}.", to=pair.conversation) for number in range(60)]
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.message("number 59.")).to_be_in_viewport()
        place = await scrolled_to(window, "number 40.")
        long = " ".join(["long"] * 90)
        await other_devices.edits(pair.grace, sent[30]["id"], long)
        await expect(window.message(long)).to_be_attached()
        assert abs(await top_of(window.message("number 40.")) - place) < 2
        await other_devices.deletes(pair.grace, sent[30]["id"])
        await expect(window.message("Message deleted")).to_be_attached()
        assert abs(await top_of(window.message("number 40.")) - place) < 2

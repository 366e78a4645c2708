"""The menu of a message in the web client: by mouse, keyboard and touch, and for assistive technology."""

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.support import other_devices
from tests.support.chromium import needs_chromium
from tests.support.web_client import (
    PHONE,
    Pair,
    Window,
    browser_context_of,
    send_to,
    window_of,
)

pytestmark = needs_chromium


def menu(window: Window) -> Locator:
    return window.page.get_by_role("menu", name="Message")


def item(window: Window, name: str) -> Locator:
    return menu(window).get_by_role("menuitem", name=name, exact=True)


@pytest.fixture
async def opened(window: Window, pair: Pair) -> Window:
    """Ada's window with the conversation, in which both have written."""
    await pair.ada.sends("first", to=pair.conversation)
    await pair.grace.sends("hers", to=pair.conversation)
    await pair.ada.sends("last", to=pair.conversation)
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.sees("first", "hers", "last")
    return window


async def test_only_the_viewers_own_messages_have_a_menu(opened: Window):
    await expect(opened.page.get_by_role("button", name="Actions for your message")).to_have_count(2)
    # For the mouse, the button of a message appears when it is over the message.
    opacity = "each => getComputedStyle(each).opacity"
    await opened.message("hers").hover()
    assert await opened.actions("first").evaluate(opacity) == "0"
    await opened.message("first").hover()
    assert await opened.actions("first").evaluate(opacity) == "1"
    await opened.message("hers").locator(".bubble").click(button="right")
    await expect(menu(opened)).to_have_count(0)


async def test_a_right_click_opens_the_menu_at_the_pointer(opened: Window):
    bubble = opened.message("first").locator(".bubble")
    box = await bubble.bounding_box()
    assert box is not None
    await bubble.click(button="right", position={"x": 10, "y": 10})
    await expect(item(opened, "Edit")).to_be_visible()
    place = await menu(opened).bounding_box()
    assert place is not None
    # Within the window, and as close to the pointer as possible.
    assert place["x"] + place["width"] <= 1180
    assert abs(place["y"] - box["y"] - 10) < 4
    # A press elsewhere closes it, without following a link or pressing a button there.
    await opened.page.mouse.click(5, 5)
    await expect(menu(opened)).to_have_count(0)
    await expect(opened.heading("Messenger")).to_be_visible()


async def test_the_keyboard_reaches_each_message_and_its_menu(opened: Window):
    await opened.page.get_by_role("region", name="Messages with").focus()
    await opened.page.keyboard.press("Tab")
    await expect(opened.actions("last")).to_be_focused()
    await opened.page.keyboard.press("ArrowUp")
    await expect(opened.actions("first")).to_be_focused()
    await opened.page.keyboard.press("Enter")
    await expect(item(opened, "Edit")).to_be_focused()
    await opened.page.keyboard.press("ArrowUp")
    await expect(item(opened, "Delete")).to_be_focused()
    await opened.page.keyboard.press("ArrowDown")
    await expect(item(opened, "Edit")).to_be_focused()
    await opened.page.keyboard.press("d")
    await expect(item(opened, "Delete")).to_be_focused()
    for leaves in ("Escape", "Tab"):
        await opened.page.keyboard.press(leaves)
        await expect(menu(opened)).to_have_count(0)
        await expect(opened.actions("first")).to_be_focused()
        await opened.page.keyboard.press("Enter")
        await expect(item(opened, "Edit")).to_be_focused()
    await opened.page.keyboard.press("Enter")
    await expect(opened.field).to_be_focused()
    await expect(opened.field).to_have_value("first")
    # The message that was used last stays the one that Tab reaches.
    await opened.page.keyboard.press("Escape")
    await opened.page.get_by_role("region", name="Messages with").focus()
    await opened.page.keyboard.press("Tab")
    await expect(opened.actions("first")).to_be_focused()


async def test_deleting_by_keyboard_asks_first_and_keeps_the_focus_in_the_conversation(opened: Window):
    await opened.actions("last").focus()
    question = opened.page.get_by_role("alertdialog", name="Delete this message?")
    for answer in ("Cancel", "Delete"):
        await opened.page.keyboard.press("Enter")
        await opened.page.keyboard.press("End")
        await opened.page.keyboard.press("Enter")
        # A second Enter does not delete.
        await expect(question.get_by_role("button", name="Cancel")).to_be_focused()
        if answer == "Delete":
            await opened.page.keyboard.press("Tab")
        await opened.page.keyboard.press("Enter")
        await expect(question).to_have_count(0)
        if answer == "Cancel":
            await expect(opened.actions("last")).to_be_focused()
    await opened.sees("first", "hers", "Message deleted")
    await expect(opened.page.get_by_role("region", name="Messages with")).to_be_focused()
    await expect(opened.page.get_by_text("Deleting…")).to_have_count(0)
    await expect(opened.actions("last")).to_have_count(0)


@pytest.mark.parametrize("is_asked", [False, True], ids=["menu", "question"])
async def test_a_message_deleted_elsewhere_takes_its_menu_along_but_not_the_focus(
    opened: Window, pair: Pair, *, is_asked: bool
):
    await opened.actions("last").focus()
    await opened.page.keyboard.press("Enter")
    await expect(item(opened, "Edit")).to_be_focused()
    if is_asked:
        await opened.page.keyboard.press("d")
        await opened.page.keyboard.press("Enter")
        await expect(opened.page.get_by_role("alertdialog")).to_be_visible()
    (message_id,) = (
        await opened.message("last")
        .locator("[data-message]")
        .evaluate_all("all => all.map((each) => each.dataset.message)")
    )
    await other_devices.deletes(pair.ada, message_id)
    await opened.sees("first", "hers", "Message deleted")
    await expect(opened.page.locator("dialog")).to_have_count(0)
    await expect(opened.page.get_by_role("region", name="Messages with")).to_be_focused()


async def test_the_message_whose_menu_is_open_or_that_is_edited_is_marked(opened: Window):
    marked = opened.page.locator(".message[data-chosen='true']")
    await expect(marked).to_have_count(0)
    await opened.message("first").hover()
    await opened.actions("first").click()
    await expect(marked.locator(".text")).to_have_text("first")
    await item(opened, "Edit").click()
    await expect(opened.field).to_have_value("first")
    await expect(marked.locator(".text")).to_have_text("first")
    await opened.page.keyboard.press("Escape")
    await expect(marked).to_have_count(0)
    await opened.chooses("Delete", of="first")
    await expect(opened.page.get_by_role("alertdialog").locator(".quote")).to_have_text("first")


async def test_a_menu_that_is_opened_as_soon_as_a_question_is_closed_stays_open(opened: Window):
    await opened.chooses("Delete", of="last")
    cancel = opened.page.get_by_role("alertdialog").get_by_role("button", name="Cancel")
    await cancel.evaluate("""async (cancel) => {
        cancel.click();
        document.activeElement.click();
        // The browser reports in a later task that the question has been closed.
        for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
    }""")
    await expect(menu(opened)).to_be_visible()


async def test_the_text_of_a_message_can_be_copied(browser: Browser, pair: Pair):
    await pair.ada.sends("copy me", to=pair.conversation)
    async with browser_context_of(browser, permissions=["clipboard-read", "clipboard-write"]) as context:
        window = Window(await context.new_page(), pair.origin)
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await window.chooses("Copy text", of="copy me")
        await expect(menu(window)).to_have_count(0)
        assert await window.page.evaluate("navigator.clipboard.readText()") == "copy me"


async def test_links_and_selected_text_keep_the_menu_of_the_browser(opened: Window, pair: Pair):
    await pair.ada.sends("see https://example.com/", to=pair.conversation)
    await opened.message("see https://example.com/").get_by_role("link").click(button="right")
    await expect(menu(opened)).to_have_count(0)
    await opened.message("first").locator(".text").click(click_count=2)
    await opened.message("first").locator(".text").click(button="right")
    await expect(menu(opened)).to_have_count(0)


async def test_a_long_press_opens_the_menu_on_a_phone(browser: Browser, pair: Pair):
    await pair.ada.sends("press me", to=pair.conversation)
    async with window_of(browser, pair.origin, viewport=PHONE, has_touch=True, is_mobile=True) as window:
        await window.signs_in(pair.ada.username)
        await window.opens(pair.grace.username)
        box = await window.message("press me").locator(".bubble").bounding_box()
        assert box is not None
        point = {"x": box["x"] + 20, "y": box["y"] + 15}
        debugger = await window.page.context.new_cdp_session(window.page)
        # A finger that moves scrolls.
        await send_to(debugger, "Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
        moved = {**point, "y": point["y"] + 40}
        await send_to(debugger, "Input.dispatchTouchEvent", type="touchMove", touchPoints=[moved])
        await window.page.wait_for_timeout(700)
        await expect(menu(window)).to_have_count(0)
        await send_to(debugger, "Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        await send_to(debugger, "Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
        await expect(item(window, "Delete")).to_be_visible()
        await expect(window.page.locator("dialog .quote")).to_be_visible()
        await expect(window.page.locator("dialog .quote")).to_have_text("press me")
        # Lifting the finger does not press the item that is now under it.
        await send_to(debugger, "Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        # It is as wide as the phone, at the bottom, with large items.
        place = await window.page.locator("dialog").bounding_box()
        assert place is not None
        assert place["width"] == PHONE["width"]
        assert place["y"] + place["height"] == PHONE["height"]
        height = await item(window, "Delete").evaluate("each => each.getBoundingClientRect().height")
        assert height >= 44
        await item(window, "Delete").tap()
        await window.page.get_by_role("alertdialog").get_by_role("button", name="Delete").tap()
        await window.sees("Message deleted")
        assert window.complaints == []


async def test_a_long_press_on_a_link_is_left_to_the_browser(browser: Browser, pair: Pair):
    await pair.ada.sends("see https://example.com/", to=pair.conversation)
    async with window_of(browser, pair.origin, viewport=PHONE, has_touch=True, is_mobile=True) as window:
        await window.signs_in(pair.ada.username)
        await window.opens(pair.grace.username)
        message = window.message("see https://example.com/")
        debugger = await window.page.context.new_cdp_session(window.page)
        for pressed, dialogs in ((message.get_by_role("link"), 0), (message.get_by_text("see"), 1)):
            box = await pressed.bounding_box()
            assert box is not None
            point = {"x": box["x"] + 12, "y": box["y"] + 8}
            await send_to(debugger, "Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
            # Longer than a long press.
            await window.page.wait_for_timeout(700)
            await expect(window.page.locator("dialog")).to_have_count(dialogs)
            await send_to(debugger, "Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


async def test_a_finger_may_move_after_a_long_press(browser: Browser, pair: Pair):
    for number in range(30):
        await pair.ada.sends(f"number {number}.", to=pair.conversation)
    async with window_of(browser, pair.origin, viewport=PHONE, has_touch=True, is_mobile=True) as window:
        await window.signs_in(pair.ada.username)
        await window.opens(pair.grace.username)
        box = await window.message("number 27.").locator(".bubble").bounding_box()
        assert box is not None
        point = {"x": box["x"] + 20, "y": box["y"] + 15}
        debugger = await window.page.context.new_cdp_session(window.page)
        await send_to(debugger, "Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
        await expect(item(window, "Delete")).to_be_visible()
        for moved in (40, 80, 120):
            at = {**point, "y": point["y"] - moved}
            await send_to(debugger, "Input.dispatchTouchEvent", type="touchMove", touchPoints=[at])
        await send_to(debugger, "Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        await expect(item(window, "Delete")).to_be_visible()
        assert window.complaints == []

"""The web client's notifications show only what is still unread, as it is now."""

from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser

from tests.support import other_devices
from tests.support.chromium import needs_chromium
from tests.support.serving import eventually_async
from tests.support.web_client import HIDING, Pair, Window, browser_context_of

pytestmark = needs_chromium

NOTED = """
    window.newest = () => notes.length && { text: notes.at(-1).text, isOpen: notes.at(-1).isOpen };
    window.notes = [];
    window.Notification = class extends Notification {
      constructor(title, options) {
        super(title, options);
        Object.assign(this, { text: options.body, isOpen: true });
        notes.push(this);
      }
      close() {
        this.isOpen = false;
        super.close();
      }
    };
"""


@pytest.fixture
async def notified(notifying_browser: Browser, pair: Pair) -> AsyncGenerator[tuple[Window, str]]:
    """Ada's hidden window, which shows a notification for a message of Grace, and the ID of the message."""
    async with browser_context_of(notifying_browser, permissions=["notifications"]) as context:
        await context.add_init_script(HIDING + NOTED)
        window = Window(await context.new_page(), pair.origin)
        await window.signs_in(pair.ada.username, at="/profile")
        await window.page.get_by_role("button", name="Turn notifications on").click()
        await window.page.evaluate("hide()")
        await window.is_unattended()
        sent = await pair.grace.sends("for your eyes", to=pair.conversation)
        await shows(window, "for your eyes")
        yield window, sent["id"]


async def shows(window: Window, text: str) -> None:
    await newest_is(window, {"text": text, "isOpen": True})


async def has_closed(window: Window, text: str) -> None:
    await newest_is(window, {"text": text, "isOpen": False})


async def newest_is(window: Window, expected: dict[str, object]) -> None:
    async def is_so() -> bool:
        return await window.page.evaluate("newest()") == expected

    await eventually_async(is_so)


async def test_an_edit_replaces_the_notification(notified: tuple[Window, str], pair: Pair):
    window, message_id = notified
    await other_devices.edits(pair.grace, message_id, "for all eyes")
    await shows(window, "for all eyes")
    await other_devices.deletes(pair.grace, message_id)
    await has_closed(window, "for all eyes")


async def test_reading_on_another_device_closes_the_notification(notified: tuple[Window, str], pair: Pair):
    window, _ = notified
    await other_devices.reads(pair.ada, pair.conversation)
    await has_closed(window, "for your eyes")


async def test_an_answer_from_another_device_closes_the_notification(
    notified: tuple[Window, str], pair: Pair
):
    window, _ = notified
    await pair.ada.sends("seen", to=pair.conversation)
    await has_closed(window, "for your eyes")


async def test_signing_out_in_another_tab_closes_the_notification(notified: tuple[Window, str], pair: Pair):
    window, _ = notified
    other = Window(await window.page.context.new_page(), pair.origin)
    await other.goes_to("/profile")
    await other.page.get_by_role("button", name="Sign out", exact=True).click()
    await has_closed(window, "for your eyes")

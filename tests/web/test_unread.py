"""What the web client counts as unread across a user's devices, windows and tabs."""

import asyncio

import pytest
from playwright.async_api import Browser, Route, expect

from tests.conftest import SignIn
from tests.support.chromium import needs_chromium
from tests.support.people import Person
from tests.support.serving import eventually_async
from tests.support.web_client import (
    HIDING,
    PHONE,
    Pair,
    Window,
    answered_late,
    browser_context_of,
    requests_of,
    window_of,
)

pytestmark = needs_chromium

UNREAD = "query ($id: ID!) { conversation(id: $id) { unreadCount } }"
READ = """
    mutation ($id: ID!) { readMessages(input: { conversationId: $id }) { conversation { unreadCount } } }
"""

# Lets a window lose and regain the focus, because Playwright keeps all windows focused.
UNFOCUSING = """
    let focused = true;
    document.hasFocus = () => focused;
    window.leave = () => { focused = false; window.dispatchEvent(new Event('blur')); };
    window.comeBack = () => { focused = true; window.dispatchEvent(new Event('focus')); };
"""


async def unread(person: Person, conversation: str) -> int:
    return (await person.asks(UNREAD, id=conversation))["conversation"]["unreadCount"]


async def test_a_visible_page_shows_what_another_device_has_read(browser: Browser, pair: Pair):
    async with window_of(browser, pair.origin) as desk, window_of(browser, pair.origin) as phone:
        await desk.signs_in(pair.ada.username)
        await pair.grace.sends("hello", to=pair.conversation)
        await desk.is_titled("(1) Messenger")
        await phone.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await phone.sees("hello")
        await desk.is_titled("Messenger")
        await expect(desk.row(pair.grace.username)).not_to_contain_text("unread")
        assert desk.complaints == []


async def test_a_hidden_page_shows_what_was_read_elsewhere_on_return(browser: Browser, pair: Pair):
    async with window_of(browser, pair.origin) as window:
        await window.page.add_init_script(HIDING)
        await pair.grace.sends("hello", to=pair.conversation)
        await window.signs_in(pair.ada.username)
        await window.is_titled("(1) Messenger")
        await window.page.evaluate("hide()")
        await pair.ada.asks(READ, id=pair.conversation)
        await window.page.evaluate("show()")
        await window.is_titled("Messenger")


async def test_the_title_is_asked_for_once_after_several_events(browser: Browser, pair: Pair):
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username)
        asked = requests_of(window, "query Unread ")
        for number in range(30):
            await pair.grace.sends(f"number {number}", to=pair.conversation)
        await window.is_titled("(30) Messenger")
        started = asyncio.get_running_loop().time()
        await pair.grace.sends("one more", to=pair.conversation)
        await window.is_titled("(31) Messenger")
        waited = asyncio.get_running_loop().time() - started
        # At most one a second, and one when the last event came during its request.
        assert len(asked) < 8 + waited, asked


async def test_a_window_without_focus_marks_nothing_as_read_and_notifies(
    notifying_browser: Browser, pair: Pair
):
    async with browser_context_of(notifying_browser, permissions=["notifications"]) as context:
        await context.add_init_script(UNFOCUSING + NOTED)
        window = Window(await context.new_page(), pair.origin)
        await window.signs_in(pair.ada.username, at="/profile")
        await window.page.get_by_role("button", name="Turn notifications on").click()
        await window.opens_conversation(pair.conversation)
        await pair.grace.sends("focused", to=pair.conversation)
        await window.sees("focused")
        await window.is_titled(f"{pair.grace.username} · Messenger")
        await window.page.evaluate("leave()")
        await window.is_unattended()
        await pair.grace.sends("beside another window", to=pair.conversation)
        await window.sees("focused", "beside another window")
        await window.is_titled(f"(1) {pair.grace.username} · Messenger")
        await eventually_async(lambda: window.page.evaluate("notified.length > 0"))
        assert await window.page.evaluate("notified") == ["beside another window"]
        assert await unread(pair.ada, pair.conversation) == 1
        await window.page.evaluate("comeBack()")
        await window.is_titled(f"{pair.grace.username} · Messenger")
        assert await unread(pair.ada, pair.conversation) == 0


NOTED = """
    window.notified = [];
    window.Notification = class extends Notification {
      constructor(title, options) {
        super(title, options);
        notified.push(options.body);
      }
    };
"""


async def test_a_phone_marks_visible_messages_as_read(browser: Browser, pair: Pair):
    """Some of its browsers only report the focus after the user has touched the page."""
    async with window_of(browser, pair.origin, viewport=PHONE, has_touch=True, is_mobile=True) as window:
        await window.page.add_init_script("document.hasFocus = () => false;")
        await pair.grace.sends("hello", to=pair.conversation)
        await window.signs_in(pair.ada.username)
        await window.is_titled("(1) Messenger")
        await window.opens_conversation(pair.conversation)
        await window.is_titled(f"{pair.grace.username} · Messenger")
        assert await unread(pair.ada, pair.conversation) == 0


async def test_a_read_mark_whose_request_fails_is_sent_again(browser: Browser, pair: Pair):
    await pair.grace.sends("hello", to=pair.conversation)
    async with window_of(browser, pair.origin) as window:
        failed = 0

        async def fail_twice(route: Route) -> None:
            nonlocal failed
            if failed == 2 or "ReadMessages" not in (route.request.post_data or ""):
                return await route.continue_()
            failed += 1
            return await route.abort()

        await window.page.route("**/graphql", fail_twice)
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await window.sees("hello")
        await window.is_titled(f"{pair.grace.username} · Messenger")
        assert failed == 2
        assert await unread(pair.ada, pair.conversation) == 0


async def test_a_tab_that_opens_while_messages_arrive_counts_them(browser: Browser, pair: Pair):
    await pair.grace.sends("before", to=pair.conversation)
    async with browser_context_of(browser) as context:
        leader = Window(await context.new_page(), pair.origin)
        await leader.signs_in(pair.ada.username)
        follower = Window(await context.new_page(), pair.origin)
        answered, let_through = await answered_late(follower, "query Inbox ")
        await follower.goes_to()
        await asyncio.wait_for(answered.wait(), 20)
        await pair.grace.sends("meanwhile", to=pair.conversation)
        await leader.is_titled("(2) Messenger")
        let_through()
        await expect(follower.row(pair.grace.username)).to_contain_text("meanwhile")
        await follower.is_titled("(2) Messenger")


async def test_scrolling_back_does_not_undo_what_another_window_has_read(browser: Browser, pair: Pair):
    for number in range(60):
        await pair.grace.sends(f"number {number}", to=pair.conversation)
    async with browser_context_of(browser) as context:
        one = Window(await context.new_page(), pair.origin)
        await one.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await one.is_titled(f"{pair.grace.username} · Messenger")
        other = Window(await context.new_page(), pair.origin)
        await other.opens_conversation(pair.conversation)
        await other.message("number 20").scroll_into_view_if_needed()
        await pair.grace.sends("the last", to=pair.conversation)
        # One of the two is at the end.
        for window in (one, other):
            await expect(window.messages.last).to_have_text("the last")
            await window.is_titled(f"{pair.grace.username} · Messenger")
        assert await unread(pair.ada, pair.conversation) == 0


@pytest.fixture
async def thirty(pair: Pair, signs_in: SignIn) -> list[Person]:
    """The users who have written to Ada, in that order."""
    others = [await signs_in(f"other{number}") for number in range(30)]
    for other in others:
        await other.sends("hello", to=await other.opens_conversation_with(pair.ada))
    return others


async def test_the_title_includes_conversations_that_are_not_loaded(
    browser: Browser, pair: Pair, thirty: list[Person]
):
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username)
        await window.is_titled("(30) Messenger")
        # Read on another device, and not in the loaded part of the list.
        conversation = await pair.ada.opens_conversation_with(thirty[0])
        await pair.ada.asks(READ, id=conversation)
        await window.is_titled("(29) Messenger")
        # A conversation that moves up is not counted twice.
        await thirty[0].sends("again", to=conversation)
        await window.is_titled("(30) Messenger")
        assert window.complaints == []


async def test_the_title_names_an_open_conversation_that_is_not_in_the_loaded_list(
    browser: Browser, pair: Pair, thirty: list[Person]
):
    oldest = thirty[0]
    async with window_of(browser, pair.origin) as window:
        conversation = await pair.ada.opens_conversation_with(oldest)
        await window.signs_in(pair.ada.username, at=f"/conversations/{conversation}")
        await window.is_titled(f"(29) {oldest.username} · Messenger")
        await expect(window.row(oldest.username)).to_have_count(0)

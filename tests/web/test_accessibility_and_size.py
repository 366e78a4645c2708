"""The web client for all users:

keyboard, screen reader, phone, dark mode, scripts and time zones; and fast.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.async_api import Browser, Request, expect
from sqlalchemy import update

from db.engine import Database
from db.tables import messages
from schema.node import NodeType
from tests.support import other_devices
from tests.support.checkout import ROOT
from tests.support.chromium import needs_chromium
from tests.support.serving import eventually_async
from tests.support.tables import tables
from tests.support.web_client import DESKTOP, PHONE, Pair, Window, held_back, window_of

pytestmark = needs_chromium

AXE = ROOT / "web/messenger/node_modules/axe-core/axe.min.js"
SCRIPT_BUDGET_BYTES = 150_000
FIRST_LOAD_BUDGET_BYTES = 170_000
FIRST_LOAD_BUDGET_REQUESTS = 8


async def test_five_hundred_messages_load_upwards_without_jumping(window: Window, pair: Pair):
    written = [f"{number} of 500" for number in range(500)]
    for number, content in enumerate(written):
        await (pair.ada, pair.grace)[number % 2].sends(content, to=pair.conversation)
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.sees(*written[-50:])
    assert await window.page.evaluate(DISTANCE_TO_END) < 2

    # The message in view stays in place when a page is loaded above it.
    let_through = await held_back(window, '"before"')
    watched = window.message(written[-40])
    await watched.scroll_into_view_if_needed()
    before = await watched.bounding_box()
    let_through()
    await expect(window.messages.first).not_to_have_text(written[-50])
    after = await watched.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2

    region = window.page.get_by_role("region", name=f"Messages with {pair.grace.username}")
    for loaded in range(100, 501, 50):
        await expect(window.messages).to_have_count(loaded)
        await region.press("Home")
    assert await window.messages.all_inner_texts() == written
    assert await window.page.get_by_role("status").filter(has_text="Loading").count() == 0

    # The browser scrolls smoothly after a key press, which takes a while.
    is_at_the_top = "document.querySelector('.messages .scroller').scrollTop === 0"
    await eventually_async(lambda: window.page.evaluate(is_at_the_top))

    # New messages do not scroll down; a button does.
    await pair.grace.sends("one more", to=pair.conversation)
    await expect(window.messages).to_have_count(501)
    assert await window.page.evaluate(DISTANCE_TO_END) > 1000
    await window.page.get_by_role("button", name="1 new").click()
    await expect(window.message("one more")).to_be_in_viewport()
    await expect(window.row(pair.grace.username)).not_to_contain_text("unread")


DISTANCE_TO_END = """() => {
    const { scrollHeight, scrollTop, clientHeight } = document.querySelector('.messages .scroller');
    return scrollHeight - scrollTop - clientHeight;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_axe_finds_nothing_on_any_page(
    browser: Browser, pair: Pair, scheme: str, viewport: dict[str, int]
):
    await pair.grace.sends("Look: https://example.com/here", to=pair.conversation)
    await pair.ada.sends("🎉", to=pair.conversation)
    async with window_of(browser, pair.origin, color_scheme=scheme, viewport=viewport) as window:
        await window.goes_to()
        await expect(window.page.get_by_role("button", name="jane")).to_be_visible()
        await passes(window, "sign-in")
        await window.signs_in(pair.ada.username)
        await expect(window.row(pair.grace.username)).to_be_visible()
        await passes(window, "home")
        await window.page.get_by_label("Find people").fill(pair.grace.username)
        await expect(window.page.get_by_role("list", name="People found")).to_be_visible()
        await passes(window, "search")
        await window.opens_conversation(pair.conversation)
        await held_back(window, "SendMessage")
        await window.writes("on its way")
        await window.field.fill("long" * 130)
        await expect(window.message("on its way")).to_contain_text("Sending…")
        await passes(window, "conversation")
        await window.goes_to("/profile")
        await expect(window.page.get_by_text("(this session)")).to_be_visible()
        await passes(window, "profile")
        await window.goes_to("/conversations/nowhere")
        await expect(window.heading("Conversation not found")).to_be_visible()
        await passes(window, "no such conversation")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_axe_finds_nothing_while_messages_are_edited_and_deleted(
    browser: Browser, pair: Pair, scheme: str, viewport: dict[str, int]
):
    sent = await pair.ada.sends("a message", to=pair.conversation)
    async with window_of(browser, pair.origin, color_scheme=scheme, viewport=viewport) as window:
        await window.signs_in(pair.ada.username)
        await window.opens(pair.grace.username)
        await window.message("a message").hover()
        await window.actions("a message").click()
        await expect(window.page.get_by_role("menuitem", name="Edit")).to_be_focused()
        await passes(window, "menu of a message")
        await window.page.get_by_role("menuitem", name="Edit").click()
        await expect(window.page.get_by_role("button", name="Save")).to_be_visible()
        await passes(window, "editing")
        await window.field.press("Escape")
        let_through = await held_back(window, "EditMessage")
        await window.edits("a message", to="an edited message")
        await other_devices.edits(pair.ada, sent["id"], "edited elsewhere")
        let_through()
        await expect(window.page.get_by_role("alert").filter(has_text="Not saved")).to_be_visible()
        await window.chooses("Delete", of="edited elsewhere")
        await expect(window.page.get_by_role("alertdialog")).to_be_visible()
        await passes(window, "question before a deletion")
        await window.page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
        await expect(window.page.get_by_text("Deleting…")).to_have_count(0)
        await window.sees("Message deleted")
        await passes(window, "deleted message")


async def passes(window: Window, name: str) -> None:
    """Expect that axe finds nothing in the page."""
    await window.page.evaluate(AXE.read_text())
    found: dict[str, Any] = await window.page.evaluate("() => axe.run()")
    assert len(found["passes"]) > 10
    assert [describe(each) for each in found["violations"]] == [], name


def describe(violation: dict[str, Any]) -> str:
    return f"{violation['id']}: {[node['html'][:200] for node in violation['nodes']]}"


async def test_a_phone_shows_one_pane_at_a_time(browser: Browser, pair: Pair):
    for number in range(30):
        await pair.grace.sends(f"{number} {'very long ' * 10}", to=pair.conversation)
    async with window_of(browser, pair.origin, viewport=PHONE, has_touch=True, is_mobile=True) as window:
        await window.signs_in(pair.ada.username)
        await window.row(pair.grace.username).tap()
        await expect(window.heading(pair.grace.username)).to_be_visible()
        await expect(window.heading("Messenger")).to_be_hidden()
        await expect(window.messages.last).to_be_in_viewport()
        # The on-screen keyboard does not open and cover the messages.
        await expect(window.heading(pair.grace.username)).to_be_focused()
        await window.field.tap()
        await window.page.keyboard.type("one")
        await window.page.keyboard.press("Enter")
        await window.page.keyboard.type("two")
        await window.page.get_by_role("button", name="Send").tap()
        await expect(window.messages.last).to_have_text("one\ntwo")
        await expect(window.messages.last).to_be_in_viewport()
        # The hidden list clips a long preview, which would count as too wide.
        await expect(window.row(pair.grace.username)).to_contain_text("You: one two")
        await fits(window)
        await window.page.get_by_role("link", name="Back to the conversations").tap()
        await expect(window.row(pair.grace.username)).to_contain_text("You: one two")
        await expect(window.field).to_be_hidden()
        await fits(window)


async def fits(window: Window) -> None:
    """Expect that nothing is wider than the window."""
    assert (
        await window.page.evaluate(
            "() => [...document.querySelectorAll('#root :not(.visually-hidden, .visually-hidden *, .skip)')]"
            ".filter((each) => { const { left, right } = each.getBoundingClientRect();"
            " return left < -1 || right > innerWidth + 1; }).map((each) => each.outerHTML)"
        )
        == []
    )


async def test_the_keyboard_is_sufficient(window: Window, pair: Pair):
    press, keyboard = window.page.keyboard.press, window.page.keyboard
    await window.goes_to()
    await expect(window.page.get_by_role("button", name="john")).to_be_visible()
    for _ in range(9):
        await press("Tab")
    await keyboard.type(pair.ada.username)
    await press("Enter")
    await expect(window.heading("Messenger")).to_be_focused()
    # Tab moves from the profile to the search.
    for _ in range(2):
        await press("Tab")
    await expect(window.page.get_by_label("Find people")).to_be_focused()
    await keyboard.type(pair.grace.username[:12])
    await expect(window.page.get_by_role("button", name=pair.grace.username)).to_be_visible()
    await press("Enter")
    await expect(window.field).to_be_focused()
    await keyboard.type("by hand")
    await press("Shift+Enter")
    await keyboard.type("and again")
    await press("Enter")
    await window.sees("by hand\nand again")
    await expect(window.field).to_be_focused()
    await expect(window.field).to_have_value("")


async def test_any_text_is_displayed_literally(window: Window, pair: Pair):
    texts = {
        "long": "x" * 480,
        "hebrew": "שלום, מה שלומך?",
        "markup": "<img src=x onerror=alert(1)> <b>bold</b> &amp;",
        "link": "see (https://example.com/a_(b)?c=d&e=ü), or javascript:alert(1).",
        "emoji": "👩‍👩‍👧‍👦 🎉",
        "lines": "one\ntwo\nthree",
    }
    for text in texts.values():
        await pair.grace.sends(text, to=pair.conversation)
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.sees(*texts.values())
    await fits(window)
    shown = {name: window.messages.nth(number) for number, name in enumerate(texts)}
    assert await shown["hebrew"].evaluate("each => getComputedStyle(each).direction") == "rtl"
    assert await shown["long"].evaluate("each => getComputedStyle(each).direction") == "ltr"
    link = shown["link"].get_by_role("link")
    await expect(link).to_have_count(1)
    await expect(link).to_have_attribute("href", "https://example.com/a_(b)?c=d&e=ü")
    await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    await expect(shown["emoji"]).to_have_class("text emoji")
    lines = await shown["lines"].bounding_box()
    line = await shown["hebrew"].bounding_box()
    assert lines is not None
    assert line is not None
    assert lines["height"] > 2.5 * line["height"]


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Asia/Tokyo", ("Today", "8:30 AM")),
        ("America/New_York", ("Yesterday", "7:30 PM")),
        ("Asia/Kathmandu", ("Today", "5:15 AM")),
        ("Pacific/Chatham", ("Yesterday", "1:15 PM")),
    ],
)
async def test_times_are_in_the_reader_s_time_zone(
    browser: Browser, pair: Pair, database: Database, zone: str, shown: tuple[str, str]
):
    message = await pair.grace.sends("when?", to=pair.conversation)
    day, time = shown
    moment = datetime(2026, 3, 9, 23, 30, tzinfo=UTC)
    async with tables(database) as connection:
        its_id = NodeType.MESSAGE.decode(message["id"])
        await connection.execute(update(messages).where(messages.c.id == its_id).values(created_at=moment))
    async with window_of(browser, pair.origin, timezone_id=zone, locale="en-US") as window:
        await window.page.clock.set_fixed_time(datetime(2026, 3, 10, 12, 0, tzinfo=UTC))
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.message("when?")).to_contain_text(time)
        await expect(window.page.get_by_role("heading", level=2, name=day)).to_be_visible()


async def test_the_first_load_is_small(browser: Browser, pair: Pair):
    """As in Lighthouse: the bytes transferred and the requests until the page is interactive."""
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username)
        state = await window.page.context.storage_state()
    async with window_of(browser, pair.origin, storage_state=state) as window:
        asked: list[Request] = []
        loaded: list[Request] = []
        window.page.on("request", noted_in(asked))
        window.page.on("requestfinished", noted_in(loaded))
        await window.opens_conversation(pair.conversation)
        script = await bytes_of([each for each in loaded if each.resource_type == "script"])
        print(f"first load: {script} bytes of script, {await bytes_of(loaded)} in {len(asked)} requests")
        assert 0 < script < SCRIPT_BUDGET_BYTES
        assert await bytes_of(loaded) < FIRST_LOAD_BUDGET_BYTES
        assert len(asked) <= FIRST_LOAD_BUDGET_REQUESTS
        # On the next visit, none of it is transferred again.
        loaded.clear()
        await window.page.reload()
        await expect(window.field).to_be_visible()
        assert await bytes_of(loaded) < 10_000
        assert window.asked_elsewhere == []
        assert window.complaints == []


def noted_in(requests: list[Request]) -> Callable[[Request], None]:
    def note(request: Request) -> None:
        requests.append(request)

    return note


async def bytes_of(requests: Sequence[Request]) -> int:
    """Return the number of bytes transferred in the responses."""
    sizes = [await request.sizes() for request in requests]
    return sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)

"""Clocks, dates, time zones and languages in the web client do not break it or change the order."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import update

from db.engine import Database
from db.tables import messages
from schema.node import NodeType
from tests.conftest import SignIn
from tests.support.chromium import needs_chromium
from tests.support.sent_messages import stored_in
from tests.support.serving import eventually_async
from tests.support.tables import tables
from tests.support.web_client import Pair, Window, send_to, window_of

pytestmark = needs_chromium


@pytest.fixture
async def window(browser: Browser, pair: Pair) -> AsyncGenerator[Window]:
    async with window_of(browser, pair.origin, timezone_id="UTC", locale="en-US") as window:
        yield window
        assert window.complaints == []


async def backdate(database: Database, message_id: str, moment: datetime) -> None:
    """Set the message's creation time to this moment, as if the server's clock had been wrong."""
    async with tables(database) as connection:
        its_id = NodeType.MESSAGE.decode(message_id)
        await connection.execute(update(messages).where(messages.c.id == its_id).values(created_at=moment))


@pytest.mark.parametrize(
    "languages",
    [
        "['C']",
        "['en-US@posix', 'de']",
        "['en_GB.UTF-8']",
        "['', null]",
        "[]",
        "undefined",
        "['de_DE']",
        "['en-x']",
    ],
)
async def test_every_browser_language_works(window: Window, pair: Pair, languages: str):
    await pair.grace.sends("hello", to=pair.conversation)
    await window.page.add_init_script(
        f"""
        const languages = {languages};
        Object.defineProperty(navigator, 'languages', {{ get: () => languages }});
        Object.defineProperty(navigator, 'language', {{ get: () => languages?.[0] }});
        """
    )
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.sees("hello")
    await expect(window.page.get_by_role("heading", level=2, name="Today")).to_be_visible()


async def test_dates_change_at_midnight_while_the_page_is_open(
    window: Window, pair: Pair, database: Database
):
    sent = await pair.grace.sends("before midnight", to=pair.conversation)
    await backdate(database, sent["id"], datetime(2026, 3, 9, 23, 30, tzinfo=UTC))
    await window.page.clock.install(time=datetime(2026, 3, 9, 23, 59, 30, tzinfo=UTC))
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await expect(window.page.get_by_role("heading", level=2, name="Today")).to_be_visible()
    when = window.row(pair.grace.username).locator(".when")
    await expect(when).to_have_text("11:30 PM")
    await window.page.clock.fast_forward(60_000)
    await expect(window.page.get_by_role("heading", level=2, name="Yesterday")).to_be_visible()
    await expect(when).to_have_text("Monday")
    await expect(when).to_have_attribute("datetime", "2026-03-09T23:30:00.000Z")


async def test_a_new_time_zone_changes_the_displayed_times(browser: Browser, pair: Pair, database: Database):
    sent = await pair.grace.sends("when?", to=pair.conversation)
    await backdate(database, sent["id"], datetime(2026, 3, 9, 23, 30, tzinfo=UTC))
    async with window_of(browser, pair.origin, locale="en-US") as window:
        # The context's option overrides the browser's zone permanently.
        debugger = await window.page.context.new_cdp_session(window.page)
        await send_to(debugger, "Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
        await window.page.clock.install(time=datetime(2026, 3, 10, 12, 0, tzinfo=UTC))
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await expect(window.message("when?")).to_contain_text("8:30 AM")
        await send_to(debugger, "Emulation.setTimezoneOverride", timezoneId="Asia/Kathmandu")
        await window.page.clock.fast_forward(30_000)
        await expect(window.message("when?")).to_contain_text("5:15 AM")


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=2)])
async def test_setting_the_server_clock_back_does_not_change_the_order(
    window: Window, pair: Pair, database: Database, signs_in: SignIn, ahead: timedelta
):
    """Earlier messages have a later time than new ones."""
    alan = await signs_in("alan")
    before = datetime.now(UTC) + ahead
    for text in ("one", "two"):
        sent = await pair.grace.sends(text, to=pair.conversation)
        await backdate(database, sent["id"], before)
    other = await alan.opens_conversation_with(pair.ada)
    await alan.sends("live", to=other)
    # Grace's messages are later by the clock, but Alan's came after them.
    names = window.page.locator("a.conversation .name")
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await expect(names).to_have_text([alan.username, pair.grace.username])
    await pair.grace.sends("three", to=pair.conversation)
    await window.sees("one", "two", "three")
    await expect(names).to_have_text([pair.grace.username, alan.username])
    await alan.sends("live again", to=other)
    await expect(names).to_have_text([alan.username, pair.grace.username])
    await window.writes("four")
    await window.sees("one", "two", "three", "four")
    await expect(names).to_have_text([pair.grace.username, alan.username])
    await window.page.reload()
    await window.sees("one", "two", "three", "four")
    await expect(names).to_have_text([pair.grace.username, alan.username])


async def test_a_date_that_occurs_twice_is_shown_twice(window: Window, pair: Pair, database: Database):
    days = [9, 8, 9]
    for number, day in enumerate(days):
        sent = await pair.grace.sends(f"number {number}", to=pair.conversation)
        await backdate(database, sent["id"], datetime(2025, 3, day, 12, 0, tzinfo=UTC))
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.sees("number 0", "number 1", "number 2")
    headings = window.page.locator(".day h2")
    await expect(headings).to_have_text(["Mar 9, 2025", "Mar 8, 2025", "Mar 9, 2025"])


@pytest.mark.parametrize("off", [timedelta(days=-3), timedelta(days=3)])
async def test_a_wrong_client_clock_does_not_change_the_order(window: Window, pair: Pair, off: timedelta):
    for number in range(40):
        await pair.grace.sends(f"number {number}", to=pair.conversation)
    await window.page.clock.set_fixed_time(datetime.now(UTC) + off)
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.writes("one")
    await expect(window.messages.last).to_have_text("one")
    # After the clock is set back again, a new message is still visible.
    await window.page.clock.set_fixed_time(datetime.now(UTC) + off - timedelta(days=1))
    await window.message("number 5").scroll_into_view_if_needed()
    await window.writes("two")
    await expect(window.messages.last).to_have_text("two")
    await expect(window.messages.last).to_be_in_viewport()

    async def is_stored() -> bool:
        return "two" in await stored_in(pair)

    await eventually_async(is_stored)
    await pair.grace.sends("three", to=pair.conversation)
    await expect(window.messages).to_have_text(
        [*(f"number {number}" for number in range(40)), "one", "two", "three"]
    )

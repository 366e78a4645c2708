"""Editing messages in the web client: in the composer, at once, and without losing a text."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, Locator, expect
from sqlalchemy import update

from db.engine import Database
from db.tables import messages
from schema.node import NodeType
from tests.support import other_devices
from tests.support.chromium import needs_chromium
from tests.support.proxy import proxy_before
from tests.support.sent_messages import stored_in
from tests.support.serving import Server, eventually_async
from tests.support.tables import tables
from tests.support.web_client import Pair, Window, browser_context_of, held_back, requests_of, window_of

pytestmark = needs_chromium


@pytest.fixture
async def sent(pair: Pair) -> dict[str, str]:
    """Ada's message."""
    return await pair.ada.sends("teh text", to=pair.conversation)


@pytest.fixture
async def opened(window: Window, pair: Pair, sent: dict[str, str]) -> Window:
    """Ada's window with the conversation."""
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.sees(sent["content"])
    return window


TOO_LATE = "The time for editing this message has passed."


def editing(window: Window) -> Locator:
    """Return what the composer says about the message that is edited, if it is."""
    return window.page.locator(".editing > div")


async def test_an_edit_appears_in_the_other_users_browser(browser: Browser, opened: Window, pair: Pair):
    async with window_of(browser, pair.origin) as at_grace:
        await at_grace.signs_in(pair.grace.username, at=f"/conversations/{pair.conversation}")
        await at_grace.sees("teh text")
        await opened.edits("teh text", to="the text")
        for window in (opened, at_grace):
            await window.sees("the text")
            edited = window.message("the text").locator("time", has_text="edited")
            await expect(edited).to_have_attribute("title", re.compile(r"^Edited \w+day, .*\d{4} at "))
            await expect(window.page.locator(".preview")).to_contain_text("the text")
        assert at_grace.complaints == []


async def test_arrow_up_edits_the_last_own_message_and_esc_returns_to_the_draft(opened: Window, pair: Pair):
    await pair.grace.sends("hers", to=pair.conversation)
    await opened.sees("teh text", "hers")
    await opened.field.fill("a draft")
    await opened.field.press("ArrowUp")
    await expect(opened.field).to_have_value("a draft")
    await opened.chooses("Edit", of="teh text")
    await opened.field.press("End")
    await opened.field.type(" twice")
    await expect(opened.field).to_have_value("teh text twice")
    await expect(opened.page.get_by_role("status").filter(has_text="Editing")).to_contain_text("teh text")
    await opened.field.press("Escape")
    await expect(opened.field).to_have_value("a draft")
    await opened.field.fill("")
    await opened.field.press("ArrowUp")
    await expect(opened.field).to_have_value("teh text")
    await opened.field.fill("the text")
    await opened.page.get_by_role("button", name="Save").click()
    await opened.sees("the text", "hers")
    await expect(opened.field).to_have_value("")
    await opened.writes("and on")
    await opened.sees("the text", "hers", "and on")


async def test_an_unsaved_edit_and_the_draft_are_kept_apart(opened: Window, pair: Pair):
    await opened.field.fill("a draft")
    await opened.chooses("Edit", of="teh text")
    await opened.field.fill("half of the")
    await opened.page.get_by_role("link", name=f"Profile of {pair.ada.username}").click()
    await expect(opened.field).to_have_count(0)
    await opened.opens(pair.grace.username)
    await expect(opened.field).to_have_value("half of the")
    await opened.page.get_by_role("button", name="Cancel editing").click()
    await expect(opened.field).to_have_value("a draft")
    await expect(opened.field).to_be_focused()
    await opened.page.reload()
    await expect(opened.field).to_have_value("a draft")


async def test_an_edit_to_the_same_text_sends_nothing(opened: Window):
    asked = requests_of(opened, "EditMessage")
    await opened.edits("teh text", to=" teh  text ")
    await expect(opened.page.get_by_role("button", name="Send")).to_be_visible()
    await opened.edits("teh text", to="the text")
    await opened.sees("the text")
    assert len(asked) == 1


async def test_edits_and_deletions_are_shown_before_the_server_answers(opened: Window, pair: Pair):
    let_through = await held_back(opened, "EditMessage")
    await opened.edits("teh text", to="the text")
    await opened.sees("the text")
    await expect(opened.message("the text")).to_contain_text("Saving…")
    let_through()
    await expect(opened.page.get_by_text("Saving…")).to_have_count(0)
    await opened.sees("the text")
    let_through = await held_back(opened, "DeleteMessage")
    await opened.deletes("the text")
    await opened.sees("Message deleted")
    await expect(opened.page.get_by_text("Deleting…")).to_be_visible()
    let_through()
    await expect(opened.page.get_by_text("Deleting…")).to_have_count(0)
    await opened.sees("Message deleted")


async def test_an_edit_in_conflict_shows_both_texts_and_can_be_saved_nevertheless(
    opened: Window, pair: Pair, sent: dict[str, str]
):
    await opened.chooses("Edit", of="teh text")
    await opened.field.fill("mine")
    await other_devices.edits(pair.ada, sent["id"], "theirs")
    # What the other device wrote appears while the user is editing.
    await opened.sees("theirs")
    await expect(opened.page.get_by_role("status").filter(has_text="Editing")).to_contain_text("theirs")
    await opened.field.press("Enter")
    rejected = opened.page.get_by_role("alert").filter(has_text="changed elsewhere")
    await expect(rejected).to_contain_text("mine")
    await opened.sees("theirs")
    await rejected.get_by_role("button", name="Edit again").click()
    await expect(opened.field).to_have_value("mine")
    # The text is not lost if the user changes their mind.
    await opened.field.press("Escape")
    await expect(opened.field).to_have_value("")
    await expect(rejected).to_contain_text("mine")
    # Neither if they look at the other text first.
    await opened.chooses("Edit", of="theirs")
    await expect(opened.field).to_have_value("theirs")
    await rejected.get_by_role("button", name="Edit again").click()
    await expect(opened.field).to_have_value("mine")
    await opened.field.press("Enter")
    await opened.sees("mine")
    await expect(opened.page.get_by_role("alert").filter(has_text="Not saved")).to_have_count(0)


async def test_an_edit_without_changes_follows_its_message(opened: Window, pair: Pair, sent: dict[str, str]):
    await opened.field.press("ArrowUp")
    await expect(opened.field).to_have_value("teh text")
    await other_devices.edits(pair.ada, sent["id"], "the text")
    await expect(opened.field).to_have_value("the text")
    await opened.field.press("Enter")
    await expect(editing(opened)).to_have_count(0)
    await opened.edits("the text", to="my text")
    await opened.sees("my text")
    await expect(opened.page.get_by_text("Saving…")).to_have_count(0)
    await expect(opened.page.get_by_text("Not saved")).to_have_count(0)


async def test_an_edit_of_a_message_deleted_meanwhile_keeps_the_text(
    opened: Window, pair: Pair, sent: dict[str, str]
):
    let_through = await held_back(opened, "EditMessage")
    await opened.edits("teh text", to="mine")
    await other_devices.deletes(pair.ada, sent["id"])
    await expect(opened.page.locator(".preview")).to_contain_text("Message deleted")
    let_through()
    rejected = opened.page.get_by_role("alert").filter(has_text="Not saved")
    await expect(rejected).to_contain_text("The message has been deleted elsewhere.")
    await expect(rejected).to_contain_text("mine")
    await opened.sees("Message deleted")
    await rejected.get_by_role("button", name="Send as a new message").click()
    await expect(rejected).to_have_count(0)
    await opened.sees("Message deleted", "mine")
    await expect(opened.message("mine")).not_to_contain_text("Sen")
    assert await stored_in(pair) == ["", "mine"]


async def makes_old(database: Database, message_id: str) -> None:
    """Let the time for editing the message pass."""
    async with tables(database) as connection:
        await connection.execute(
            update(messages)
            .where(messages.c.id == NodeType.MESSAGE.decode(message_id))
            .values(created_at=datetime.now(UTC) - timedelta(days=1))
        )


async def test_an_edit_saved_too_late_keeps_the_text_and_cannot_be_repeated(
    opened: Window, sent: dict[str, str], database: Database
):
    let_through = await held_back(opened, "EditMessage")
    await opened.edits("teh text", to="too late")
    await makes_old(database, sent["id"])
    let_through()
    rejected = opened.page.get_by_role("alert").filter(has_text="Not saved")
    await expect(rejected).to_contain_text(TOO_LATE)
    await expect(rejected).to_contain_text("too late")
    await expect(rejected.get_by_role("button", name="Edit again")).to_have_count(0)
    await expect(rejected.get_by_role("button", name="Send as a new message")).to_be_visible()
    await opened.sees("teh text")
    await opened.message("teh text").hover()
    await opened.actions("teh text").click()
    await expect(opened.page.get_by_role("menuitem", name="Delete")).to_be_visible()
    await expect(opened.page.get_by_role("menuitem", name="Edit")).to_have_count(0)


async def test_a_message_that_has_become_too_old_says_so_when_the_user_starts_to_edit(
    opened: Window, sent: dict[str, str], database: Database
):
    # No event tells the page.
    await makes_old(database, sent["id"])
    await opened.chooses("Edit", of="teh text")
    await expect(editing(opened)).to_contain_text("teh text")
    await expect(editing(opened)).to_contain_text(TOO_LATE)
    await expect(opened.page.get_by_role("button", name="Save")).to_be_disabled()
    await opened.field.press("Escape")
    await expect(editing(opened)).to_have_count(0)


async def test_the_text_for_a_message_that_is_deleted_meanwhile_can_be_sent_as_a_new_one(
    opened: Window, pair: Pair, sent: dict[str, str]
):
    await opened.chooses("Edit", of="teh text")
    await opened.field.fill("the text")
    await other_devices.deletes(pair.ada, sent["id"])
    await expect(editing(opened)).to_contain_text("This message has been deleted.")
    await expect(opened.page.get_by_role("button", name="Save")).to_be_disabled()
    await opened.page.get_by_role("button", name="Send as a new message").click()
    await opened.sees("Message deleted", "the text")
    await expect(opened.field).to_have_value("")
    await expect(editing(opened)).to_have_count(0)


async def test_an_edit_does_not_bring_back_a_message_that_is_being_deleted(opened: Window, pair: Pair):
    let_through = await held_back(opened, "DeleteMessage")
    await opened.chooses("Edit", of="teh text")
    await opened.field.fill("the text")
    await opened.deletes("teh text")
    await opened.field.press("Enter")
    await expect(editing(opened)).to_contain_text("This message has been deleted.")
    await expect(opened.page.get_by_text("Deleting…")).to_be_visible()
    let_through()
    await expect(opened.page.get_by_text("Deleting…")).to_have_count(0)
    await opened.sees("Message deleted")
    assert await stored_in(pair) == [""]


async def test_an_edit_without_text_says_what_to_do(opened: Window):
    await opened.chooses("Edit", of="teh text")
    await opened.field.fill(" ")
    await opened.field.press("Enter")
    await expect(opened.page.get_by_text("Write a text, or choose Delete")).to_be_visible()
    await opened.sees("teh text")
    await opened.field.press("Escape")
    await expect(opened.page.get_by_text("Write a text, or choose Delete")).to_have_count(0)


async def test_an_unfinished_edit_continues_after_another_one(opened: Window, pair: Pair):
    await opened.writes("second", "third")
    await opened.sees("teh text", "second", "third")
    await opened.chooses("Edit", of="teh text")
    await opened.field.fill("the text")
    # One that the user only looks at does not continue.
    await opened.chooses("Edit", of="second")
    await expect(opened.field).to_have_value("second")
    await opened.edits("third", to="3rd")
    await opened.sees("teh text", "second", "3rd")
    await expect(editing(opened)).to_contain_text("teh text")
    await expect(opened.field).to_have_value("the text")
    await opened.field.press("Enter")
    await opened.sees("the text", "second", "3rd")
    await expect(editing(opened)).to_have_count(0)


async def test_an_unfinished_edit_survives_a_reload_after_which_its_message_is_not_loaded(
    opened: Window, pair: Pair
):
    await opened.chooses("Edit", of="teh text")
    await opened.field.fill("the text")
    for number in range(50):
        await pair.grace.sends(str(number), to=pair.conversation)
    await opened.page.reload()
    await opened.sees(*map(str, range(50)))
    await expect(editing(opened)).to_contain_text("teh text")
    await expect(opened.field).to_have_value("the text")
    await opened.field.press("Enter")
    await expect(editing(opened)).to_have_count(0)

    async def is_stored() -> bool:
        return await stored_in(pair) == ["the text", *map(str, range(50))]

    await eventually_async(is_stored)


async def test_arrow_up_never_edits_the_message_before_an_unconfirmed_one(opened: Window):
    let_through = await held_back(opened, "SendMessage")
    await opened.writes("newest")
    await opened.sees("teh text", "newest")
    await opened.field.press("ArrowUp")
    await opened.field.press("x")
    await expect(opened.field).to_have_value("x")
    let_through()
    await expect(opened.message("newest")).not_to_contain_text("Sen")
    await opened.field.fill("")
    let_through = await held_back(opened, "EditMessage")
    await opened.edits("newest", to="newer")
    await expect(opened.message("newer")).to_contain_text("Saving…")
    await opened.field.press("ArrowUp")
    await opened.field.press("x")
    await expect(opened.field).to_have_value("x")
    let_through()
    await expect(opened.page.get_by_text("Saving…")).to_have_count(0)
    await opened.field.fill("")
    await opened.field.press("ArrowUp")
    await expect(opened.field).to_have_value("newer")


async def test_edits_and_deletions_made_offline_are_sent_later(
    browser: Browser, server: Server, pair: Pair, sent: dict[str, str]
):
    await pair.ada.sends("regretted", to=pair.conversation)
    async with proxy_before(server.port) as proxy, browser_context_of(browser) as context:
        window = Window(await context.new_page(), proxy.url)
        await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        await window.sees("teh text", "regretted")
        await context.set_offline(True)
        proxy.cut()
        await expect(window.offline_line).to_contain_text("You are offline.")
        await window.edits("teh text", to="the text")
        await window.deletes("regretted")
        await window.sees("the text", "Message deleted")
        await expect(window.message("the text").get_by_role("button", name="Discard")).to_be_visible()
        await context.set_offline(False)
        await expect(window.page.get_by_text("Saving…")).to_have_count(0)
        await expect(window.page.get_by_text("Deleting…")).to_have_count(0)
        await window.sees("the text", "Message deleted")
        assert await stored_in(pair) == ["the text", ""]

"""Editing messages in the web client: in the composer, at once, and without losing a text."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, expect
from sqlalchemy import update

from db.engine import Database
from db.tables import messages
from schema.node import NodeType
from tests.support import other_devices
from tests.support.chromium import needs_chromium
from tests.support.proxy import proxy_before
from tests.support.serving import Server
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
    rejected = opened.page.get_by_role("alert").filter(has_text="changed on another device")
    await expect(rejected).to_contain_text("mine")
    await opened.sees("theirs")
    await rejected.get_by_role("button", name="Edit again").click()
    await expect(opened.field).to_have_value("mine")
    await expect(rejected).to_have_count(0)
    await opened.field.press("Enter")
    await opened.sees("mine")
    await expect(opened.page.get_by_role("alert").filter(has_text="Not saved")).to_have_count(0)


async def test_an_edit_of_a_message_deleted_meanwhile_keeps_the_text(
    opened: Window, pair: Pair, sent: dict[str, str]
):
    let_through = await held_back(opened, "EditMessage")
    await opened.edits("teh text", to="mine")
    await other_devices.deletes(pair.ada, sent["id"])
    await expect(opened.page.locator(".preview")).to_contain_text("Message deleted")
    let_through()
    rejected = opened.page.get_by_role("alert").filter(has_text="Not saved")
    await expect(rejected).to_contain_text("The message has been deleted on another device.")
    await expect(rejected).to_contain_text("mine")
    await opened.sees("Message deleted")
    await rejected.get_by_role("button", name="Discard").click()
    await expect(rejected).to_have_count(0)


async def makes_old(database: Database, message_id: str) -> None:
    """Let the time for editing the message pass."""
    async with tables(database) as connection:
        await connection.execute(
            update(messages)
            .where(messages.c.id == NodeType.MESSAGE.decode(message_id))
            .values(created_at=datetime.now(UTC) - timedelta(days=1))
        )


async def test_a_message_that_has_become_too_old_says_so(
    opened: Window, sent: dict[str, str], database: Database
):
    too_late = "The time for editing this message has passed."
    let_through = await held_back(opened, "EditMessage")
    await opened.edits("teh text", to="too late")
    await makes_old(database, sent["id"])
    let_through()
    rejected = opened.page.get_by_role("alert").filter(has_text="Not saved")
    await expect(rejected).to_contain_text(too_late)
    await expect(rejected).to_contain_text("too late")
    await opened.sees("teh text")
    # No event has told this page, so it asks when the user starts to edit.
    await opened.chooses("Edit", of="teh text")
    await expect(opened.page.get_by_role("status").filter(has_text="Editing")).to_contain_text(too_late)
    await expect(opened.page.get_by_role("button", name="Save")).to_be_disabled()
    await opened.field.press("Escape")
    await opened.message("teh text").hover()
    await opened.actions("teh text").click()
    await expect(opened.page.get_by_role("menuitem", name="Delete")).to_be_visible()
    await expect(opened.page.get_by_role("menuitem", name="Edit")).to_have_count(0)


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
        query = "query ($id: ID!) { conversation(id: $id) { messages { edges { node { content } } } } }"
        stored = (await pair.grace.asks(query, id=pair.conversation))["conversation"]["messages"]["edges"]
        assert [edge["node"]["content"] for edge in stored] == ["the text", ""]

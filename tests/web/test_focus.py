"""The web client keeps the focus within the page when the button or field that has it disappears."""

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.support.chromium import needs_chromium
from tests.support.web_client import Pair, Window, browser_context_of, held_back

pytestmark = needs_chromium


@pytest.fixture
async def opened(window: Window, pair: Pair) -> Window:
    """Ada's window with the conversation, in which she has written."""
    await pair.ada.sends("teh text", to=pair.conversation)
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.sees("teh text")
    return window


@pytest.fixture
async def profile(window: Window, pair: Pair) -> Window:
    """Ada's window with her profile."""
    await window.signs_in(pair.ada.username, at="/profile")
    await expect(window.heading("Profile")).to_be_focused()
    return window


def messages(window: Window) -> Locator:
    return window.page.get_by_role("region", name="Messages with")


async def test_saving_the_name_keeps_the_focus(profile: Window, pair: Pair):
    name = profile.page.get_by_label("Name")
    save = profile.page.get_by_role("button", name="Save")
    for number, pressed in enumerate((name, save)):
        changed = f"{pair.ada.username}{number}"
        await name.fill(changed)
        await pressed.focus()
        await profile.page.keyboard.press("Enter")
        await expect(profile.page.get_by_role("heading", name=changed)).to_be_visible()
        await expect(profile.page.get_by_text("Saved.")).to_be_visible()
        await expect(pressed).to_be_focused()
        await expect(name).to_have_value(changed)


async def test_a_name_that_is_being_typed_is_kept_when_the_name_changes_elsewhere(
    profile: Window, pair: Pair
):
    name = profile.page.get_by_label("Name")
    update = "mutation ($to: String!) { updateProfile(input: { username: $to }) { user { username } } }"
    elsewhere = f"{pair.ada.username}-elsewhere"
    await pair.ada.asks(update, to=elsewhere)
    await expect(name).to_have_value(elsewhere)
    await name.fill("half a na")
    await pair.ada.asks(update, to=pair.ada.username)
    await expect(profile.page.get_by_role("heading", name=pair.ada.username, exact=True)).to_be_visible()
    await expect(name).to_have_value("half a na")
    await expect(name).to_be_focused()
    # Once they agree again, the field follows.
    await name.fill(pair.ada.username)
    await pair.ada.asks(update, to=elsewhere)
    await expect(name).to_have_value(elsewhere)


@pytest.mark.parametrize("button", ["Sign out ", "Sign out everywhere else"])
async def test_ending_other_sessions_keeps_the_focus_in_their_list(profile: Window, button: str):
    sessions = profile.page.get_by_role("region", name="Where you are signed in")
    pressed = sessions.get_by_role("button", name=button).first
    await pressed.focus()
    await profile.page.keyboard.press("Enter")
    await expect(sessions.get_by_role("listitem")).to_have_count(1)
    await expect(sessions.get_by_role("heading")).to_be_focused()


@pytest.mark.parametrize("end", ["discarded", "saved"])
async def test_discard_keeps_the_focus_in_the_conversation_when_it_disappears(opened: Window, end: str):
    let_through = await held_back(opened, "EditMessage")
    await opened.edits("teh text", to="the text")
    discard = opened.page.get_by_role("button", name="Discard")
    await discard.focus()
    if end == "saved":
        let_through()
    else:
        await opened.page.keyboard.press("Enter")
    await expect(discard).to_have_count(0)
    await expect(messages(opened)).to_be_focused()


async def test_searching_for_the_person_of_the_open_conversation_focuses_its_field(
    opened: Window, pair: Pair
):
    await opened.finds(pair.grace.username)
    await expect(opened.page.get_by_role("list", name="People found")).to_have_count(0)
    await expect(opened.field).to_be_focused()


async def test_esc_in_the_results_of_a_search_returns_to_its_field(opened: Window, pair: Pair):
    search = opened.page.get_by_label("Find people")
    await search.fill(pair.grace.username)
    found = opened.page.get_by_role("list", name="People found")
    await found.get_by_role("button", name=pair.grace.username).focus()
    await opened.page.keyboard.press("Escape")
    await expect(found).to_have_count(0)
    await expect(search).to_be_focused()


@pytest.mark.parametrize("end", ["here", "elsewhere"])
async def test_the_sign_in_page_is_focused_and_says_that_the_session_has_ended(
    profile: Window, pair: Pair, end: str
):
    if end == "here":
        await profile.page.get_by_role("button", name="Sign out", exact=True).click()
    else:
        await pair.ada.asks("mutation { endOtherSessions { endedSessionIds } }")
    await profile.is_at_the_sign_in()
    heading = profile.heading("Messenger")
    await expect(heading).to_be_focused()
    await expect(heading).to_have_accessible_description("You have been signed out.")


async def test_a_rejected_sign_in_keeps_the_focus(browser: Browser, pair: Pair):
    async with browser_context_of(browser) as context:
        window = Window(await context.new_page(), pair.origin)
        await window.page.route("**/auth/dev/login", lambda route: route.fulfill(status=500, body="no"))
        await window.goes_to()
        person = window.page.get_by_role("button", name="jane")
        await person.click()
        await expect(window.page.locator("#sign-in-problem")).not_to_be_empty()
        await expect(person).to_be_focused()


async def test_dismissing_the_warning_about_storage_focuses_the_page(opened: Window):
    await opened.page.evaluate("void (Storage.prototype.setItem = () => { throw new Error('full'); })")
    await opened.field.fill("a draft")
    dismiss = opened.page.get_by_role("button", name="OK", exact=True)
    await dismiss.focus()
    await opened.page.keyboard.press("Enter")
    await expect(dismiss).to_have_count(0)
    await expect(opened.page.locator("#page")).to_be_focused()

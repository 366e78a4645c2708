"""The search of the web client: its results belong to what has been typed."""

from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.support.chromium import needs_chromium
from tests.support.web_client import Pair, Window, held_back, window_of

pytestmark = needs_chromium


@pytest.fixture
async def window(browser: Browser, pair: Pair) -> AsyncGenerator[Window]:
    async with window_of(browser, pair.origin) as window:
        await window.signs_in(pair.ada.username)
        yield window
        assert window.complaints == []


def search(window: Window) -> Locator:
    return window.page.get_by_label("Find people")


def said(window: Window) -> Locator:
    return window.page.locator(".found-none")


def found(window: Window, name: str) -> Locator:
    return window.page.get_by_role("list", name="People found").get_by_role("button", name=name)


async def test_an_error_disappears_when_the_text_changes(window: Window, pair: Pair):
    for correct_to in (pair.grace.username, ""):
        await search(window).fill("nobody-has-this-name")
        await expect(said(window)).to_contain_text("No users found.")
        await search(window).press("Enter")
        await expect(said(window)).to_contain_text("No user has this username")
        await search(window).fill(correct_to)
        await expect(said(window)).not_to_contain_text("Nobody")
    await expect(said(window)).to_have_text("")


async def test_an_answer_does_not_apply_to_text_typed_after_it(window: Window, pair: Pair):
    await search(window).fill(pair.grace.username)
    await expect(found(window, pair.grace.username)).to_be_visible()
    let_through = await held_back(window, "SearchUsers")
    async with window.page.expect_request(lambda request: "nobody-has" in (request.post_data or "")):
        await search(window).fill("nobody-has-this-name")
    # The earlier results are gone, and it is not known yet that there are none.
    await expect(found(window, pair.grace.username)).to_have_count(0)
    await expect(said(window)).to_have_text("")
    let_through()
    await expect(said(window)).to_contain_text("No users found.")


async def test_a_slow_answer_is_ignored_once_the_text_has_changed(window: Window, pair: Pair):
    let_through = await held_back(window, "OpenConversation")
    await search(window).fill("nobody-has-this-name")
    await expect(said(window)).to_contain_text("No users found.")
    async with window.page.expect_request(lambda request: "OpenConversation" in (request.post_data or "")):
        await search(window).press("Enter")
    await search(window).fill(pair.grace.username)
    async with window.page.expect_response(
        lambda response: "OpenConversation" in (response.request.post_data or "")
    ):
        let_through()
    await expect(found(window, pair.grace.username)).to_be_visible()
    await expect(said(window)).not_to_contain_text("Nobody")
    await expect(search(window)).to_have_value(pair.grace.username)


async def test_enter_before_the_answer_waits_for_it(window: Window, pair: Pair):
    """The results of the earlier text contain a longer name that starts like this one."""
    exact = pair.grace.username[:-1]
    assert (await pair.ada.http.post("/auth/dev/login", json={"username": exact})).status_code == 200
    pair.ada.http.cookies.clear()
    await search(window).fill(pair.grace.username)
    await expect(found(window, pair.grace.username)).to_be_visible()
    let_through = await held_back(window, "SearchUsers")
    await search(window).fill(exact)
    await search(window).press("Enter")
    let_through()
    await expect(window.field).to_be_visible()
    await expect(window.heading(exact)).to_be_visible()

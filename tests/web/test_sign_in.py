"""How the web client finds out who is signed in: failures look like failures, in every browser."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Request, Route, async_playwright, expect

from tests.support.chromium import CHROMIUM, QUIET, needs_chromium
from tests.support.web_client import Pair, Window, browser_context_of, window_of

pytestmark = needs_chromium

INTERNAL = {
    "data": None,
    "errors": [{"message": "Something went wrong.", "extensions": {"code": "INTERNAL"}}],
}


@pytest.fixture
async def window(browser: Browser, pair: Pair) -> AsyncGenerator[Window]:
    """A window of Ada's, who is signed in, without a page yet."""
    async with browser_context_of(browser) as context:
        await has_signed_in(Window(await context.new_page(), pair.origin), pair.ada.username)
        await context.pages[0].close()
        yield Window(await context.new_page(), pair.origin)


async def has_signed_in(window: Window, name: str) -> None:
    """Give the cookie to the window's browser."""
    response = await window.page.context.request.post(
        f"{window.origin}/auth/dev/login", data={"username": name}
    )
    assert response.ok


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, json.dumps(INTERNAL), "Something went wrong."),
        (200, "{}", "The response is not from Messenger."),
        (200, "<h1>Welcome to the hotel</h1>", "The response is not from Messenger."),
        (401, "<h1>Authorization required</h1>", "The request was rejected (HTTP 401)."),
        (403, "<h1>Access denied</h1>", "The request was rejected (HTTP 403)."),
        (502, "<h1>Bad gateway</h1>", "The server reported an error (HTTP 502)."),
        (0, "", "The server cannot be reached."),
    ],
)
async def test_a_failed_first_query_is_shown_as_a_failure_and_retried(
    window: Window, status: int, body: str, said: str
):
    content_type = "text/html" if body.startswith("<") else "application/json"

    async def fail(route: Route) -> None:
        if status:
            await route.fulfill(status=status, content_type=content_type, body=body)
        else:
            await route.abort("connectionrefused")

    await window.page.route("**/graphql", fail)
    await window.goes_to()
    await expect(window.heading("Your conversations cannot be loaded")).to_be_visible()
    await expect(window.page.get_by_role("alert")).to_contain_text(said)
    await expect(window.page.get_by_label("Another username")).to_have_count(0)
    await window.page.unroute_all(behavior="wait")
    await expect(window.page.get_by_role("link", name="Profile of")).to_be_visible(timeout=20_000)


async def test_a_manual_retry_is_immediate(window: Window):
    asked: list[Request] = []
    window.page.on("request", lambda request: asked.append(request) if "graphql" in request.url else None)
    # Prevents its own attempts.
    await window.page.add_init_script("Math.random = () => 1e5")
    await window.page.route("**/graphql", lambda route: route.fulfill(status=500, body="no"))
    await window.goes_to()
    await expect(window.heading("Your conversations cannot be loaded")).to_be_visible()
    assert len(asked) == 1
    await window.page.unroute_all(behavior="wait")
    await window.page.get_by_role("button", name="Try again now").click()
    await expect(window.page.get_by_role("link", name="Profile of")).to_be_visible()


async def test_a_browser_without_cookies_shows_the_reason(browser: Browser, pair: Pair, tmp_path: Path):
    (tmp_path / "Default").mkdir()
    blocked = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (tmp_path / "Default/Preferences").write_text(json.dumps(blocked))
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=CHROMIUM, args=QUIET
        )
        window = Window(await context.new_page(), pair.origin)
        await window.goes_to()
        told = window.page.get_by_role("alert").filter(has_text="Allow cookies for localhost")
        await window.page.get_by_role("button", name="jane").click()
        await expect(told).to_contain_text("your browser did not keep the sign-in cookie")
        await expect(window.page.get_by_role("button", name="jane")).to_be_enabled()
        assert [each for each in window.complaints if "Uncaught" in each] == []
        await context.close()


async def test_a_rejected_cookie_is_detected(browser: Browser, pair: Pair):
    """As behind plain HTTP, where browsers reject a cookie that requires HTTPS."""

    async with window_of(browser, pair.origin) as window:
        await window.page.route("**/auth/dev/login", lambda route: route.fulfill(body="{}"))
        await window.goes_to()
        await expect(window.page.get_by_role("alert").filter(has_text="cookie")).to_have_count(0)
        await window.page.get_by_role("button", name="jane").click()
        await expect(window.page.get_by_role("alert").filter(has_text="cookie")).to_be_visible()
        await window.page.unroute_all(behavior="wait")
        await window.page.get_by_role("button", name="jane").click()
        await expect(window.page.get_by_role("link", name="Profile of jane")).to_be_visible()


async def test_a_double_click_signs_in_once(browser: Browser, pair: Pair):
    async with window_of(browser, pair.origin) as window:
        sign_ins: list[str] = []
        window.page.on("request", lambda each: sign_ins.append(each.url) if "login" in each.url else None)
        await window.goes_to()
        await window.page.get_by_role("button", name="jane").evaluate("each => (each.click(), each.click())")
        await expect(window.page.get_by_role("link", name="Profile of jane")).to_be_visible()
        assert len(sign_ins) == 1


async def test_signing_out_in_one_tab_signs_out_the_others(browser: Browser, pair: Pair):
    async with browser_context_of(browser) as context:
        here, there = (
            Window(await context.new_page(), pair.origin),
            Window(await context.new_page(), pair.origin),
        )
        await here.signs_in(pair.ada.username, at="/profile")
        await there.opens_conversation(pair.conversation)
        await there.field.fill("half a sen")
        await here.page.get_by_role("button", name="Sign out", exact=True).click()
        for tab in (here, there):
            await tab.is_at_the_sign_in()
            await expect(tab.page.get_by_text("You have been signed out.")).to_be_visible()
        await there.page.get_by_label("Another username").fill(pair.grace.username)
        await there.page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(there.field).to_have_value("")
        await expect(here.page.get_by_role("link", name=f"Profile of {pair.grace.username}")).to_be_visible()


@pytest.mark.parametrize(
    "missing",
    [
        "delete AbortSignal.any; delete AbortSignal.timeout; delete URL.canParse",
        "delete window.BroadcastChannel",
        "delete Navigator.prototype.locks",
        "delete window.BroadcastChannel; delete Navigator.prototype.locks; delete window.indexedDB",
        "delete Crypto.prototype.randomUUID",
    ],
)
async def test_an_older_browser_works(window: Window, pair: Pair, missing: str):
    await window.page.context.add_init_script(missing)
    await window.opens_conversation(pair.conversation)
    await pair.grace.sends("see https://example.com/", to=pair.conversation)
    await window.sees("see https://example.com/")
    await expect(window.page.get_by_role("link", name="https://example.com/", exact=True)).to_be_visible()
    await window.writes("hello")
    await window.sees("see https://example.com/", "hello")
    await expect(window.message("hello")).not_to_contain_text("Sending…")
    other = Window(await window.page.context.new_page(), pair.origin)
    await other.opens_conversation(pair.conversation)
    await pair.grace.sends("to both", to=pair.conversation)
    for tab in (window, other):
        await tab.sees("see https://example.com/", "hello", "to both")


async def test_a_browser_that_cannot_parse_the_script_shows_the_reason(browser: Browser, pair: Pair):
    """Without its script, too: the page itself contains the text."""
    script = "import { from } from './"  # A syntax error, like new syntax in an old browser.
    async with window_of(browser, pair.origin) as window:
        await window.page.route(
            "**/assets/*.js",
            lambda route: route.fulfill(status=200, content_type="text/javascript", body=script),
        )
        await window.goes_to()
        await expect(window.heading("Messenger has not started")).to_be_visible(timeout=20_000)
    async with window_of(browser, pair.origin, java_script_enabled=False) as window:
        await window.goes_to()
        await expect(window.heading("Messenger has not started")).to_be_visible(timeout=20_000)

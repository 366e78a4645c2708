"""The web client from a user's point of view: browser windows, with their actions and contents."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import (
    Browser,
    BrowserContext,
    CDPSession,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Route,
    expect,
)

from tests.support.people import Person
from tests.support.serving import eventually_async

# On a machine under load, the default of five seconds is too short.
_PATIENCE_MS = 20_000
expect.set_options(timeout=_PATIENCE_MS)

DESKTOP = {"width": 1180, "height": 760}
PHONE = {"width": 390, "height": 780}

# Hides and shows a page, like switching tabs in a browser that is not headless.
HIDING = """
    let hidden = false;
    const turn = (to) => { hidden = to; document.dispatchEvent(new Event('visibilitychange')); };
    Object.defineProperty(document, 'visibilityState', { get: () => (hidden ? 'hidden' : 'visible') });
    window.hide = () => turn(true);
    window.show = () => turn(false);
"""


@dataclass(frozen=True)
class Pair:
    """Two users with a conversation, and the address where their browsers reach the server."""

    origin: str
    ada: Person
    grace: Person
    conversation: str


class Window:
    """A page of the web client, with its requests to other hosts and its console messages."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.asked_elsewhere: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._note_request)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith(f"{self.origin}/"):
            self.asked_elsewhere.append(request.url)

    def _note_console(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self.complaints.append(said.text)

    async def goes_to(self, path: str = "/") -> None:
        await self.page.goto(self.origin + path)

    async def signs_in(self, name: str, *, at: str = "/") -> None:
        """Open the page and sign in by name, with the field for names that are not in the list."""
        await self.goes_to(at)
        await self.page.get_by_label("Another username").fill(name)
        await self.page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(self.page.get_by_role("link", name=f"Profile of {name}")).to_be_attached()

    async def finds(self, name: str) -> None:
        """Search for a user and open the conversation."""
        await self.page.get_by_label("Find people").fill(name)
        await self.page.get_by_role("list", name="People found").get_by_role("button", name=name).click()
        await expect(self.heading(name)).to_be_visible()

    async def opens(self, name: str) -> None:
        """Open the conversation with a user from the list."""
        await self.row(name).click()
        await expect(self.heading(name)).to_be_visible()

    async def opens_conversation(self, conversation: str) -> None:
        await self.goes_to(f"/conversations/{conversation}")
        await expect(self.field).to_be_visible()

    async def writes(self, *texts: str) -> None:
        for text in texts:
            await self.field.fill(text)
            await self.field.press("Enter")

    async def sees(self, *texts: str) -> None:
        """Expect exactly these messages in the conversation, in this order."""
        await expect(self.messages).to_have_text(list(texts))

    async def is_unattended(self) -> None:
        """Wait until all tabs know that the user attends to none, which takes the browser a moment."""
        attended = (
            "navigator.locks.query().then(({ held }) => held.some((l) => l.name === 'messenger-attended'))"
        )

        async def is_none_attended() -> bool:
            return not await self.page.evaluate(attended)

        await eventually_async(is_none_attended)

    async def is_titled(self, title: str) -> None:
        await expect(self.page).to_have_title(title)

    async def is_at_the_sign_in(self) -> None:
        await expect(self.page.get_by_label("Another username")).to_be_visible(timeout=20_000)

    def heading(self, name: str) -> Locator:
        return self.page.get_by_role("heading", level=1, name=name, exact=True)

    def row(self, name: str) -> Locator:
        """Return the conversation with a user in the list."""
        return self.page.locator("a.conversation").filter(has=self.page.get_by_text(name, exact=True))

    def actions(self, text: str) -> Locator:
        """Return the button that opens the menu of a message."""
        return self.message(text).get_by_role("button", name="Actions for your message")

    async def chooses(self, item: str, of: str) -> None:
        """Choose an item in the menu of a message."""
        await self.message(of).hover()
        await self.actions(of).click()
        await self.page.get_by_role("menuitem", name=item, exact=True).click()

    async def edits(self, text: str, to: str) -> None:
        await self.chooses("Edit", of=text)
        await expect(self.field).to_have_value(text)
        await self.field.fill(to)
        await self.field.press("Enter")

    async def deletes(self, text: str) -> None:
        await self.chooses("Delete", of=text)
        await self.page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()

    @property
    def messages(self) -> Locator:
        return self.page.locator(".message .text")

    @property
    def field(self) -> Locator:
        return self.page.get_by_placeholder("Write a message")

    @property
    def offline_line(self) -> Locator:
        return self.page.locator(".offline")

    def message(self, text: str) -> Locator:
        """Return a message with the text below it."""
        return self.page.locator(".message").filter(has=self.page.get_by_text(text, exact=True))


@asynccontextmanager
async def browser_context_of(browser: Browser, **options: Any) -> AsyncGenerator[BrowserContext]:
    """Open a new browser context for a user."""
    options.setdefault("viewport", DESKTOP)
    context = await browser.new_context(**options)
    context.set_default_timeout(_PATIENCE_MS)
    try:
        yield context
    finally:
        for page in context.pages:
            await page.unroute_all(behavior="ignoreErrors")
        await context.close()


@asynccontextmanager
async def window_of(browser: Browser, origin: str, **options: Any) -> AsyncGenerator[Window]:
    """Open one window in a new browser context."""
    async with browser_context_of(browser, **options) as context:
        yield Window(await context.new_page(), origin)


async def held_back(window: Window, operation: str) -> Callable[[], None]:
    """Hold back the window's requests with this operation until the returned function is called."""
    let_through = asyncio.Event()

    async def hold(route: Route) -> None:
        if operation in (route.request.post_data or ""):
            await let_through.wait()
        await route.continue_()

    await window.page.route("**/graphql", hold)
    return let_through.set


def requests_of(window: Window, text: str = "") -> list[str]:
    """Return a list that receives the bodies of the window's GraphQL requests that contain the text."""
    bodies: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/graphql") and text in (request.post_data or ""):
            bodies.append(request.post_data or "")

    window.page.on("request", note)
    return bodies


async def answered_late(window: Window, operation: str) -> tuple[asyncio.Event, Callable[[], None]]:
    """Hold back the answer to the window's next request with this operation until the function is called.

    The event is set when the server has answered.
    """
    answered, let_through = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        if answered.is_set() or operation not in (route.request.post_data or ""):
            return await route.continue_()
        response = await route.fetch()
        answered.set()
        await let_through.wait()
        return await route.fulfill(response=response)

    await window.page.route("**/graphql", hold)
    return answered, let_through.set


async def send_to(debugger: CDPSession, method: str, **parameters: object) -> None:
    """Send a command of the DevTools protocol: https://chromedevtools.github.io/devtools-protocol/."""
    await debugger.send(method, parameters)  # pyright: ignore[reportUnknownMemberType]  # a bare Dict in its types


async def put_to_sleep(window: Window) -> Callable[[], Awaitable[None]]:
    """Stop all scripts of the window until the returned function is called."""
    debugger = await window.page.context.new_cdp_session(window.page)

    async def wake() -> None:
        await send_to(debugger, "Debugger.resume")
        await debugger.detach()

    await send_to(debugger, "Debugger.enable")
    await send_to(debugger, "Debugger.pause")
    return wake

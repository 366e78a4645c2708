"""The GraphiQL page in a real browser: a newcomer subscribes in one tab and sends from another."""

import re
from uuid import uuid4

from playwright.async_api import Browser, ConsoleMessage, Page, Request, expect

from tests.chromium import needs_chromium
from tests.serving import Server, eventually

pytestmark = needs_chromium


class Visitor:
    """Somebody at the page, and what their browser asked for elsewhere and complained about."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.name = ""
        self.asked_elsewhere: list[str] = []
        self.complaints: list[str] = []
        self._origin = f"http://localhost:{server.port}"
        page.on("request", self._note_request)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self._origin}/", "data:")):
            self.asked_elsewhere.append(request.url)

    def _note_console(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self.complaints.append(said.text)

    async def arrives(self) -> None:
        await self.page.goto(f"{self._origin}/graphql")

    async def signs_in(self, name: str) -> None:
        self.name = name
        await self.page.get_by_label("Username").fill(name)
        await self.page.get_by_role("button", name="Sign in").click()
        await expect(self.page.get_by_role("status").first).to_have_text(f"Signed in as {name}")

    async def runs(self, name: str, document: str) -> None:
        """Put the document, with its operation of that name, in the place of what is there, and run it."""
        await self.page.locator(".graphiql-query-editor .view-lines").click()
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.insert_text(document)
        # The page takes over what was typed after a moment, and names the tab by it.
        await expect(self.page.get_by_role("tab")).to_have_text(name)
        await self.page.keyboard.press("Control+Enter")

    async def sees(self, pattern: str) -> str:
        """Wait for a result like that, and return what its group matches."""
        lines = self.page.locator(".result-window .view-lines")
        # The editor writes its spaces as no-break spaces.
        await expect(lines).to_have_text(re.compile(pattern.replace(" ", r"\s")))
        found = re.search(pattern, (await lines.inner_text()).replace("\xa0", " "))
        assert found is not None
        return found[1]


async def test_one_subscribes_in_a_tab_and_sends_from_another(server: Server, browser: Browser):
    jane = Visitor(await (await browser.new_context()).new_page(), server)
    john = Visitor(await (await browser.new_context()).new_page(), server)
    for name, visitor in (("jane", jane), ("john", john)):
        await visitor.arrives()
        await visitor.signs_in(f"{name}-{uuid4().hex[:8]}")
    streams = server.metric("messenger_open_streams")
    await jane.runs("Listen", "subscription Listen { messageCreated { message { content } } }")
    await eventually(lambda: server.metric("messenger_open_streams") == streams + 1)
    await john.runs(
        "Open",
        f'mutation Open {{ createConversation(input: {{username: "{jane.name}"}})'
        " { conversation { id } } }",
    )
    conversation = await john.sees(r'"id": "(C[\w-]+)"')
    await john.runs(
        "Send",
        f'mutation Send {{ createMessage(input: {{conversationId: "{conversation}", content: "Hello Jane"}})'
        " { message { createdAt } } }",
    )
    await jane.sees(r'"content": "(Hello Jane)"')
    await jane.page.get_by_role("button", name="Stop query").click()
    await eventually(lambda: server.metric("messenger_open_streams") == streams)
    for visitor in (jane, john):
        assert visitor.asked_elsewhere == []
        assert visitor.complaints == []
        await visitor.page.context.close()

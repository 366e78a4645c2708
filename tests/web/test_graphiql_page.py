"""The GraphiQL page in a real browser: a new user subscribes in one tab and sends from another."""

import re
from pathlib import Path
from uuid import uuid4

from playwright.async_api import Browser, ConsoleMessage, Page, Request, expect

from db.embedded import Cluster
from db.engine import Database
from tests.support.chromium import needs_chromium
from tests.support.openid_provider import certified_provider
from tests.support.serving import Server, eventually, free_port, running_server
from tests.support.stand_ins import CLIENT_ID, CLIENT_SECRET

pytestmark = needs_chromium


class Visitor:
    """A user of the page, with their browser's requests to other hosts and console messages."""

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
        """Replace the editor's content by the document, whose operation has this name, and run it."""
        await self.page.locator(".graphiql-query-editor .view-lines").click()
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.insert_text(document)
        # The page applies the typed text after a moment, and names the tab after it.
        await expect(self.page.get_by_role("tab")).to_have_text(name)
        await self.page.keyboard.press("Control+Enter")

    async def sees(self, pattern: str) -> str:
        """Wait for a result that matches, and return its group."""
        lines = self.page.locator(".result-window .view-lines")
        # The editor renders spaces as no-break spaces.
        await expect(lines).to_have_text(re.compile(pattern.replace(" ", r"\s")))
        found = re.search(pattern, (await lines.inner_text()).replace("\xa0", " "))
        assert found is not None
        return found[1]


async def test_a_user_subscribes_in_one_tab_and_sends_from_another(server: Server, browser: Browser):
    jane = Visitor(await (await browser.new_context()).new_page(), server)
    john = Visitor(await (await browser.new_context()).new_page(), server)
    for name, visitor in (("jane", jane), ("john", john)):
        await visitor.arrives()
        await visitor.signs_in(f"{name}-{uuid4().hex[:8]}")
    # Streams of the tests before may not have ended yet.
    await eventually(lambda: server.metric("messenger_open_streams") == 0)
    await jane.runs("Listen", "subscription Listen { messageCreated { message { content } } }")
    await eventually(lambda: server.metric("messenger_open_streams") == 1)
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
    await eventually(lambda: server.metric("messenger_open_streams") == 0)
    for visitor in (jane, john):
        assert visitor.asked_elsewhere == []
        assert visitor.complaints == []
        await visitor.page.context.close()


async def test_without_development_sign_in_users_sign_in_with_the_provider(
    cluster: Cluster, database: Database, tmp_path: Path, browser: Browser
):
    port = free_port()
    with (
        certified_provider(f"http://localhost:{port}/auth/oidc/callback") as issuer,
        running_server(
            tmp_path,
            database_url=cluster.url(),
            port=str(port),
            dev_login="off",
            secret_key="a key for the tests, long enough to be one",
            oidc_issuer=issuer,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=CLIENT_SECRET,
            oidc_name="The <b>Team</b> & Co.",
        ) as server,
    ):
        ada = Visitor(await (await browser.new_context()).new_page(), server)
        await ada.arrives()
        way = ada.page.get_by_role("link", name="Sign in with The <b>Team</b> & Co.")
        await expect(way).to_be_visible()
        await expect(ada.page.get_by_label("Username")).not_to_be_visible()
        assert ada.complaints == []
        assert ada.asked_elsewhere == []
        await way.click()
        name = f"ada-{uuid4().hex[:8]}"
        await ada.page.locator("input[name=login]").fill(name)
        await ada.page.locator("input[name=password]").fill("any will do")
        await ada.page.locator("button[type=submit]").click()
        # The provider's second page asks for consent.
        await expect(ada.page.locator("input[name=login]")).not_to_be_attached()
        await ada.page.locator("button[type=submit]").click()
        await expect(ada.page.get_by_role("status").first).to_have_text(f"Signed in as {name}")
        assert ada.page.url == f"http://localhost:{port}/graphql"
        await ada.page.get_by_role("button", name="Sign out").click()
        await expect(way).to_be_visible()
        await ada.page.context.close()


async def test_without_any_sign_in_method_the_page_says_so(
    cluster: Cluster, database: Database, tmp_path: Path, browser: Browser
):
    with running_server(tmp_path, database_url=cluster.url(), dev_login="off") as server:
        ada = Visitor(await (await browser.new_context()).new_page(), server)
        await ada.arrives()
        await expect(ada.page.get_by_text("This server has no sign-in configured")).to_be_visible()
        await expect(ada.page.get_by_label("Username")).not_to_be_visible()
        assert ada.complaints == []
        await ada.page.context.close()


async def test_beside_the_documentation_long_lines_of_the_examples_are_wrapped(
    server: Server, browser: Browser
):
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    ada = Visitor(await context.new_page(), server)
    await ada.arrives()
    await ada.page.get_by_role("button", name="Show Documentation Explorer").click()
    await expect(ada.page.get_by_role("region", name="Documentation Explorer")).to_be_visible()
    lines = ada.page.locator(".graphiql-query-editor .view-line > span")
    await expect(lines.first).to_have_text(re.compile("The.messenger.API"))
    # The editor adapts to its new width after a moment.
    await ada.page.wait_for_function(
        """() => {
            const right = (element) => element.getBoundingClientRect().right;
            const editor = document.querySelector('.graphiql-query-editor');
            const ends = [...editor.querySelectorAll('.view-line > span')].map(right);
            const edge = right(editor.querySelector('.overflow-guard'));
            return ends.length > 5 && Math.max(...ends) <= edge;
        }"""
    )
    await expect(ada.page.locator(".graphiql-query-editor")).to_contain_text(re.compile("share.the.session"))
    assert ada.complaints == []
    await context.close()

"""The web client in a real browser: users sign in, find each other, exchange messages, and edit profiles."""

import re
from pathlib import Path
from secrets import token_hex
from uuid import uuid4

from playwright.async_api import Browser, expect
from sqlalchemy import delete, insert, select

from db.embedded import Cluster
from db.engine import Database
from db.tables import participants
from schema.node import NodeType
from tests.conftest import SignIn
from tests.support import other_devices
from tests.support.chromium import needs_chromium
from tests.support.people import Person
from tests.support.removals import remove
from tests.support.serving import eventually_async, running_server
from tests.support.stand_ins import CLIENT_ID, CLIENT_SECRET, GitHubStandIn, served
from tests.support.tables import tables
from tests.support.web_client import HIDING, Pair, Window, browser_context_of, held_back, window_of

pytestmark = needs_chromium


async def test_two_users_exchange_messages(browser: Browser, pair: Pair):
    async with window_of(browser, pair.origin) as at_ada, window_of(browser, pair.origin) as at_grace:
        await at_grace.signs_in(pair.grace.username)
        await expect(at_grace.page.get_by_text("You have no conversations yet")).to_be_visible()
        await at_ada.signs_in(pair.ada.username)
        await at_ada.finds(pair.grace.username)
        await expect(at_ada.page.get_by_text(f"Say hello to {pair.grace.username}")).to_be_visible()
        await at_ada.writes("Hello Grace")

        row = at_grace.row(pair.ada.username)
        await expect(row).to_contain_text("Hello Grace")
        await expect(row).to_contain_text("1 unread")
        await at_grace.is_titled("(1) Messenger")
        await expect(at_ada.message("Hello Grace")).not_to_contain_text("Read")
        await at_grace.opens(pair.ada.username)
        await expect(row).not_to_contain_text("unread")
        await at_grace.is_titled(f"{pair.ada.username} · Messenger")
        await expect(at_ada.message("Hello Grace")).to_contain_text("Read")

        await at_grace.writes("Hello Ada", "How are you?")
        for window in (at_ada, at_grace):
            await window.sees("Hello Grace", "Hello Ada", "How are you?")
            assert window.asked_elsewhere == []
            assert window.complaints == []
        await expect(at_ada.page.get_by_role("log")).to_contain_text(f"{pair.grace.username}: How are you?")


async def test_a_removed_user_is_shown_without_their_name(window: Window, pair: Pair, database: Database):
    await pair.grace.sends("Hello Ada", to=pair.conversation)
    await remove(database, pair.grace.username)
    await window.signs_in(pair.ada.username)
    await expect(window.row("Removed user")).to_contain_text("Hello Ada")
    await window.opens("Removed user")
    await window.sees("Hello Ada")
    await window.is_titled("Removed user · Messenger")
    await expect(window.page.get_by_text("This user has been removed.")).to_be_visible()
    await expect(window.field).to_have_count(0)


async def test_the_composer_disappears_with_its_draft_when_the_other_user_is_removed(
    window: Window, pair: Pair, database: Database
):
    await pair.ada.sends("Hello Grace", to=pair.conversation)
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.field.fill("Are you there?")
    await remove(database, pair.grace.username)
    await expect(window.page.get_by_text("This user has been removed.")).to_be_visible()
    await expect(window.field).to_have_count(0)
    await expect(window.heading("Removed user")).to_be_focused()
    drafts = "Object.keys(localStorage).filter((key) => key.startsWith('messenger-draft-'))"
    assert await window.page.evaluate(drafts) == []
    # Ada's own messages can still be edited.
    await window.chooses("Edit", of="Hello Grace")
    await expect(window.field).to_be_focused()
    await window.field.fill("Goodbye Grace")
    await window.field.press("Enter")
    await window.sees("Goodbye Grace")
    await expect(window.field).to_have_count(0)
    await expect(window.heading("Removed user")).to_be_focused()


async def test_the_list_shows_edits_and_deletions_before_the_server_answers(window: Window, pair: Pair):
    await pair.ada.sends("teh text", to=pair.conversation)
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    row = window.row(pair.grace.username)
    await expect(row).to_contain_text("You: teh text")
    let_through = await held_back(window, "EditMessage")
    await window.edits("teh text", to="the text")
    await expect(row).to_contain_text("You: the text")
    let_through()
    await expect(window.page.get_by_text("Saving…")).to_have_count(0)
    let_through = await held_back(window, "DeleteMessage")
    await window.deletes("the text")
    await expect(row).to_contain_text("You: Message deleted")
    let_through()


async def test_an_edit_changes_the_text_that_was_announced(window: Window, pair: Pair):
    await window.signs_in(pair.ada.username)
    sent = await pair.grace.sends("Hello Aad", to=pair.conversation)
    log = window.page.get_by_role("log")
    await expect(log).to_have_text(f"{pair.grace.username}: Hello Aad")
    await other_devices.edits(pair.grace, sent["id"], "Hello Ada")
    await expect(log).to_have_text(f"{pair.grace.username}: Hello Ada")


async def test_a_sent_message_appears_immediately(window: Window, pair: Pair):
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    let_through = await held_back(window, "SendMessage")
    await window.writes("at once", "  and in\n\n\torder ")
    await window.sees("at once", "and in\norder")
    await expect(window.message("at once")).to_contain_text("Sending…")
    let_through()
    await expect(window.page.get_by_text("Sending…")).to_have_count(0)
    await window.sees("at once", "and in\norder")
    stored = await pair.ada.asks(MESSAGES, id=pair.conversation)
    contents = [edge["node"]["content"] for edge in stored["conversation"]["messages"]["edges"]]
    assert contents == ["at once", "and in\norder"]


MESSAGES = "query ($id: ID!) { conversation(id: $id) { messages { edges { node { content } } } } }"


async def test_a_rejected_message_is_marked_and_can_be_resent(window: Window, pair: Pair, database: Database):
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    taken_out = await take_out(database, pair.ada, pair.conversation)
    await window.writes("one", "two")
    for text in ("one", "two"):
        await expect(window.message(text)).to_contain_text("Not sent: This conversation does not exist")
    await window.message("one").get_by_role("button", name="Discard").click()
    await window.sees("two")
    await expect(window.page.get_by_role("region", name="Messages with")).to_be_focused()
    await put_back(database, taken_out)
    await window.message("two").get_by_role("button", name="Try again").click()
    await expect(window.message("two")).not_to_contain_text("Not sent")
    await window.sees("two")


async def take_out(database: Database, person: Person, conversation: str) -> dict[str, object]:
    viewer = NodeType.USER.decode((await person.asks("{ viewer { id } }"))["viewer"]["id"])
    its = (participants.c.user_id == viewer) & (
        participants.c.conversation_id == NodeType.CONVERSATION.decode(conversation)
    )
    async with tables(database) as connection:
        row = (await connection.execute(select(participants).where(its))).mappings().one()
        await connection.execute(delete(participants).where(its))
    return dict(row)


async def put_back(database: Database, row: dict[str, object]) -> None:
    async with tables(database) as connection:
        await connection.execute(insert(participants).values(row))


async def test_waiting_messages_survive_a_reload(window: Window, pair: Pair):
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await held_back(window, "SendMessage")
    await window.writes("still here")
    await expect(window.message("still here")).to_contain_text("Sending…")
    await window.page.unroute_all(behavior="ignoreErrors")
    await window.page.reload()
    await window.sees("still here")
    await expect(window.message("still here")).not_to_contain_text("Sending…")


async def test_the_list_loads_while_scrolling_and_keeps_its_order(
    window: Window, pair: Pair, signs_in: SignIn
):
    others = [await signs_in(f"other{number}") for number in range(30)]
    for other in others:
        await other.sends("hello", to=await other.opens_conversation_with(pair.ada))
    await window.signs_in(pair.ada.username)
    names = window.page.locator("a.conversation .name")
    expected = [other.username for other in reversed(others)]
    await expect(names).to_have_text(expected[:25])
    await names.last.scroll_into_view_if_needed()
    await expect(names).to_have_text(expected)
    oldest = others[0]
    await oldest.sends("again", to=await oldest.opens_conversation_with(pair.ada))
    await expect(names).to_have_text([oldest.username, *expected[:-1]])
    await window.is_titled("(31) Messenger")


async def test_a_deep_link_survives_the_sign_in(window: Window, pair: Pair):
    await pair.grace.sends("for Ada", to=pair.conversation)
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.sees("for Ada")
    await window.goes_to(f"/conversations/{NodeType.CONVERSATION.encode(uuid4())}")
    await expect(window.heading("Conversation not found")).to_be_visible()
    await window.page.get_by_role("link", name="Go to your conversations").click()
    await expect(window.heading("Choose a conversation")).to_be_visible()
    await window.page.go_back()
    await expect(window.heading("Conversation not found")).to_be_visible()


async def test_the_sign_in_page_offers_the_configured_methods(
    browser: Browser, cluster: Cluster, database: Database, tmp_path: Path
):
    github = GitHubStandIn()
    name = f"octocat-{uuid4().hex[:12]}"
    github.user = {"id": uuid4().int >> 70, "login": name, "avatar_url": None, "name": "Octo Cat"}
    with (
        served(github.app()) as github_url,
        running_server(
            tmp_path,
            database_url=cluster.url(),
            github_url=github_url,
            github_client_id=CLIENT_ID,
            github_client_secret=CLIENT_SECRET,
            secret_key=token_hex(),
            dev_login="off",
            graphiql="off",
        ) as server,
    ):
        origin = f"http://localhost:{server.port}"
        async with window_of(browser, origin) as window:
            await window.goes_to("/profile")
            await expect(window.page.get_by_role("link", name="Sign in with GitHub")).to_be_visible()
            await expect(window.page.get_by_label("Another username")).to_have_count(0)
            await window.page.get_by_role("link", name="Sign in with GitHub").click()
            await expect(window.heading("Profile")).to_be_visible()
            await expect(window.page.get_by_label("Name")).to_have_value(name)
            await expect(window.page.get_by_role("link", name="GraphiQL")).to_have_count(0)


async def test_choosing_a_listed_user_signs_in(window: Window):
    await window.goes_to()
    await window.page.get_by_role("button", name="jane").click()
    await expect(window.page.get_by_role("link", name="Profile of jane")).to_be_visible()
    await window.page.reload()
    await expect(window.page.get_by_role("link", name="Profile of jane")).to_be_visible()


async def test_the_profile_page_changes_the_name(window: Window, pair: Pair):
    await window.signs_in(pair.ada.username)
    await window.page.get_by_role("link", name=f"Profile of {pair.ada.username}").click()
    await window.page.get_by_label("Name").fill(pair.grace.username)
    await window.page.get_by_role("button", name="Save").click()
    await expect(window.page.get_by_role("alert").filter(has_text=re.compile("name"))).to_be_visible()
    await window.page.get_by_label("Name").fill(f"{pair.ada.username}-2")
    await window.page.get_by_role("button", name="Save").click()
    await expect(window.page.get_by_role("link", name=f"Profile of {pair.ada.username}-2")).to_be_visible()
    await window.page.get_by_role("link", name="GraphiQL").click()
    await window.page.wait_for_url("**/graphql")


async def test_a_session_ended_elsewhere_signs_this_page_out(browser: Browser, pair: Pair):
    async with window_of(browser, pair.origin) as here, window_of(browser, pair.origin) as there:
        for window in (here, there):
            await window.signs_in(pair.ada.username)
        await here.goes_to("/profile")
        await here.page.get_by_role("button", name="Sign out everywhere else").click()
        await there.is_at_the_sign_in()
        await expect(there.page.get_by_role("status")).to_have_text("You have been signed out.")
        await here.page.get_by_role("button", name="Sign out", exact=True).click()
        await here.is_at_the_sign_in()
        await here.page.reload()
        await here.is_at_the_sign_in()


async def test_it_notifies_only_with_permission_and_while_hidden(notifying_browser: Browser, pair: Pair):
    async with browser_context_of(notifying_browser, permissions=["notifications"]) as context:
        await context.add_init_script(HIDING + NOTED)
        window = Window(await context.new_page(), pair.origin)
        await window.signs_in(pair.ada.username, at="/profile")
        await window.page.evaluate("hide()")
        await pair.grace.sends("not asked for", to=pair.conversation)
        await window.is_titled("(1) Profile · Messenger")
        await window.page.get_by_role("button", name="Turn notifications on").click()
        await pair.grace.sends("while hidden", to=pair.conversation)
        await eventually_async(lambda: window.page.evaluate("notified.length > 0"))
        await window.page.evaluate("show()")
        await pair.grace.sends("while looked at", to=pair.conversation)
        await window.is_titled("(3) Profile · Messenger")
        assert await window.page.evaluate("notified") == [[pair.grace.username, "while hidden"]]
        await window.page.evaluate("shown.onclick()")
        await expect(window.heading(pair.grace.username)).to_be_visible()


NOTED = """
    window.notified = [];
    window.Notification = class extends Notification {
      constructor(title, options) {
        super(title, options);
        notified.push([title, options.body]);
        window.shown = this;
      }
    };
"""

"""Users' texts in the web client: links, emoji, endless combining marks, and invisible characters."""

from playwright.async_api import Browser, expect
from sqlalchemy import update

from db.engine import Database
from db.tables import messages
from resolvers.content import has_visible_text
from schema.node import NodeType
from tests.support.chromium import needs_chromium
from tests.support.tables import tables
from tests.support.web_client import Pair, Window

pytestmark = needs_chromium

RLO = "\N{RIGHT-TO-LEFT OVERRIDE}"

# The text, and the target and label of each link; a label of None is the target as it stands in the text.
LINKS: dict[str, list[tuple[str, str | None]]] = {
    "see https://example.com/a, HTTP://EXAMPLE.com: both.": [
        ("https://example.com/a", None),
        ("HTTP://EXAMPLE.com", None),
    ],
    "(https://example.com/a_(b)) [https://example.com/c[0]] {https://example.com/d}!": [
        ("https://example.com/a_(b)", None),
        ("https://example.com/c[0]", None),
        ("https://example.com/d", None),
    ],
    "「https://example.com/e」、https://example.com/f。": [
        ("https://example.com/e", None),
        ("https://example.com/f", None),
    ],
    "javascript:alert(1) data:text/html,x file:///etc/passwd ftp://example.com": [],
    # Labels that name another host than the link's target.
    "https://good.example@evil.example/ http://:@evil.example": [],
    "https://evil.example\\@good.example/": [("https://evil.example", None)],
    f"https://example.com/{RLO}moc.doog//:sptth": [("https://example.com/", None)],
    "https://exam\N{ZERO WIDTH SPACE}ple.com": [("https://exam", None)],
    "https://2130706433/ https://ex%61mple.com/x": [
        ("https://2130706433/", "https://127.0.0.1/"),
        ("https://ex%61mple.com/x", "https://example.com/x"),
    ],
    # Cyrillic letters that look like Latin ones, mixed and alone; fullwidth letters.
    "https://p\u0430ypal.example/ https://\u0430\u0440\u0440\u04cf\u0435.com/?q=1 https://\uff47ood.net": [
        ("https://p\u0430ypal.example/", "https://xn--pypal-4ve.example/"),
        ("https://\u0430\u0440\u0440\u04cf\u0435.com/?q=1", "https://xn--80ak6aa92e.com/?q=1"),
        ("https://\uff47ood.net", "https://good.net"),
    ],
    # A host that cannot be mistaken for a Latin one stays readable, and so do paths.
    "https://例え.テスト/パス https://דוגמה.קום": [
        ("https://例え.テスト/パス", None),
        ("https://דוגמה.קום", None),
    ],
    "https:// https://. http://[x] https://...": [],
}


async def test_links_lead_where_they_say(window: Window, pair: Pair):
    for text in LINKS:
        await pair.grace.sends(text, to=pair.conversation)
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await expect(window.messages).to_have_count(len(LINKS))
    for number, (text, links) in enumerate(LINKS.items()):
        shown = await window.messages.nth(number).evaluate(
            "each => [...each.querySelectorAll('a')].map((a) => [a.getAttribute('href'), a.textContent])"
        )
        assert shown == [[href, as_shown or href] for href, as_shown in links], text
    link = window.page.locator(".message a").first
    await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    await expect(link).to_have_attribute("target", "_blank")


async def test_a_message_of_a_few_emoji_is_shown_large(window: Window, pair: Pair):
    large = ["🇩🇪", "🇩🇪🇫🇷", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👍🏽", "👩‍👩‍👧‍👦 🎉", "❤", "❤️", "😀😀😀"]
    small = ["😀😀😀😀", "1", "12", "#", "🇦", "🇽🇽", "hi 😀", "👍🏽!"]
    for text in [*large, *small]:
        await pair.grace.sends(text, to=pair.conversation)
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await expect(window.messages).to_have_count(len(large) + len(small))
    assert await window.page.locator(".message .text.emoji").all_inner_texts() == large


async def test_endless_combining_marks_do_not_cover_other_messages(window: Window, pair: Pair):
    marks = "".join(chr(0x300 + number % 0x6F) for number in range(200))
    for text in ("above", f"Z{marks}algo", "below"):
        await pair.grace.sends(text, to=pair.conversation)
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await expect(window.messages).to_have_count(3)
    bubbles = window.page.locator(".message .bubble")
    with_it = [await bubbles.nth(number).screenshot() for number in (0, 2)]
    await bubbles.nth(1).evaluate("bubble => { bubble.style.visibility = 'hidden'; }")
    assert [await bubbles.nth(number).screenshot() for number in (0, 2)] == with_it


async def test_the_preview_of_the_user_s_message_keeps_its_direction(window: Window, pair: Pair):
    await pair.ada.sends(f"{RLO}שלום", to=pair.conversation)
    await window.signs_in(pair.ada.username)
    preview = window.row(pair.grace.username).locator(".preview")
    await expect(preview).to_have_text(f"You: {RLO}שלום")
    assert await preview.evaluate("each => getComputedStyle(each).direction") == "ltr"
    assert await preview.locator("bdi").evaluate("each => getComputedStyle(each).unicodeBidi") == "isolate"
    assert await preview.locator("bdi").evaluate("each => each.matches(':dir(rtl)')")


async def test_a_message_without_visible_text_is_marked(window: Window, pair: Pair, database: Database):
    sent = await pair.grace.sends("visible", to=pair.conversation)
    async with tables(database) as connection:
        its_id = NodeType.MESSAGE.decode(sent["id"])
        await connection.execute(
            update(messages).where(messages.c.id == its_id).values(content="\N{ZERO WIDTH SPACE}")
        )
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.sees("No visible text")
    await expect(window.row(pair.grace.username)).to_contain_text("No visible text")
    # The viewer's own such message is not sent.
    await window.writes(f"{RLO}\N{BRAILLE PATTERN BLANK}", "visible")
    await window.sees("No visible text", "visible")


async def test_a_deleted_message_is_shown_as_deleted(window: Window, pair: Pair):
    delete = """mutation ($input: DeleteMessageInput!) {
        deleteMessage(input: $input) { message { deletedAt } } }"""
    for sender in (pair.grace, pair.ada):
        await pair.grace.sends("before", to=pair.conversation)
        sent = await sender.sends("regretted", to=pair.conversation)
        answer = await sender.asks(delete, input={"messageId": sent["id"]})
        assert answer["deleteMessage"]["message"]["deletedAt"]
    await window.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
    await window.sees("before", "Message deleted", "before", "Message deleted")
    await expect(window.row(pair.grace.username).locator(".preview")).to_have_text("You: Message deleted")


async def test_the_server_and_unicode_agree_on_what_is_visible(browser: Browser):
    """The browser provides the newest Unicode properties, so an outdated table fails here."""
    page = await browser.new_page()
    invisible = await page.evaluate(
        """() => {
            const found = [];
            for (let point = 0; point <= 0x10ffff; point++) {
                if (point >= 0xd800 && point <= 0xdfff) continue;
                const each = String.fromCodePoint(point);
                if (/[\\s\\p{Cc}\\p{Default_Ignorable_Code_Point}\\u2800]/u.test(each)) found.push(point);
            }
            return found;
        }"""
    )
    await page.close()
    points = (point for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF)
    assert [point for point in points if not has_visible_text(chr(point))] == invisible

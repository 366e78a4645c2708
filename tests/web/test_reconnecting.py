"""How often the tabs of a browser try to reconnect their stream during an outage."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Route, expect

from tests.support.chromium import needs_chromium
from tests.support.serving import eventually
from tests.support.web_client import Pair, Window, browser_context_of

pytestmark = needs_chromium


@asynccontextmanager
async def two_tabs(browser: Browser, pair: Pair, script: str) -> AsyncGenerator[tuple[Window, Window]]:
    """Open the conversation in a leading tab, in which the script runs first, and in another one."""
    async with browser_context_of(browser) as context:
        leader = Window(await context.new_page(), pair.origin)
        await leader.page.add_init_script(script)
        await leader.signs_in(pair.ada.username, at=f"/conversations/{pair.conversation}")
        other = Window(await context.new_page(), pair.origin)
        await other.opens_conversation(pair.conversation)
        yield leader, other


async def loses_its_stream(leader: Window) -> list[float]:
    """Abort the stream and all attempts to open another one; return a list that receives their times."""
    times: list[float] = []

    async def refuse(route: Route) -> None:
        if "InboxEvents" not in (route.request.post_data or ""):
            return await route.continue_()
        times.append(asyncio.get_running_loop().time())
        return await route.abort("connectionrefused")

    await leader.page.route("**/graphql", refuse)
    # It ignores this for a second after it has connected.
    await leader.page.wait_for_timeout(1000)
    await leader.page.evaluate("dispatchEvent(new Event('online'))")
    return times


async def test_attempts_become_less_frequent_with_several_tabs(browser: Browser, pair: Pair):
    # The leader waits for the longest time each time.
    async with two_tabs(browser, pair, "Math.random = () => 1") as (leader, _):
        times = await loses_its_stream(leader)
        await eventually(lambda: len(times) >= 5, seconds=60)
        assert times[4] - times[0] > 12


async def test_another_tab_hurries_an_attempt_that_is_overdue(browser: Browser, pair: Pair):
    # The leader's timer is late, as that of a hidden tab may be.
    async with two_tabs(browser, pair, "Math.random = () => 1e5") as (leader, other):
        await loses_its_stream(leader)
        for tab in (leader, other):
            await expect(tab.offline_line).to_contain_text("The server cannot be reached.")
        await leader.page.unroute_all(behavior="wait")
        await pair.grace.sends("missed", to=pair.conversation)
        for tab in (leader, other):
            await expect(tab.messages).to_have_text(["missed"], timeout=40_000)
            await expect(tab.offline_line).to_have_text("")

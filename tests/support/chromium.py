"""Debian's Chromium, for tests of pages."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.support.checkout import ROOT, require

CHROMIUM = Path("/usr/bin/chromium")
# Without the parts of a browser's window, such as notifications, a page takes a third of the CPU time.
_SHELL = Path("/usr/bin/chromium-headless-shell")
_LIGHTEST = _SHELL if _SHELL.exists() else CHROMIUM
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
    # A host that the browser does not know as this machine, so it restricts its pages over HTTP.
    "--host-resolver-rules=MAP messenger.test 127.0.0.1",
]

needs_chromium = pytest.mark.skipif(
    # In CI, a missing program is a failure.
    not CHROMIUM.exists() and "CI" not in os.environ,
    reason="there is no Chromium: apt-get install chromium",
)


@asynccontextmanager
async def running_chromium(*, whole: bool = False) -> AsyncGenerator[Browser]:
    """Run the headless shell if it is installed, or the whole of Chromium."""
    program = CHROMIUM if whole else _LIGHTEST
    for page in ("messenger", "graphiql"):
        require(ROOT / "server" / "static" / page / "index.html")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=program, args=QUIET)
        yield launched
        await launched.close()

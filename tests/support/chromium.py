"""Debian's Chromium, as the tests of pages run it."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
    # A host that is not this machine, as far as the browser knows: over HTTP it trusts its pages less.
    "--host-resolver-rules=MAP messenger.test 127.0.0.1",
]

needs_chromium = pytest.mark.skipif(
    # Not where everything has to be shown.
    not CHROMIUM.exists() and "CI" not in os.environ,
    reason="there is no Chromium: apt-get install chromium",
)


@asynccontextmanager
async def running_chromium() -> AsyncGenerator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield launched
        await launched.close()

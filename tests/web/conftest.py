"""A window of a browser for each test."""

from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser

from tests.support.web_client import Pair, Window, window_of


@pytest.fixture
async def window(browser: Browser, pair: Pair) -> AsyncGenerator[Window]:
    """A window that must not send requests to other hosts or write to the console."""
    async with window_of(browser, pair.origin) as window:
        yield window
        assert window.asked_elsewhere == []
        assert window.complaints == []

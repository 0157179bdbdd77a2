"""Browsers of people who are logged in, and what their browsers send and receive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.example_node.controller.browser.people import Seen, log_in
from tests.example_node.controller.world import World
from tests.support.browser import chromium_running


@pytest.fixture(scope="module")
def chromium(plant: World) -> Iterator[Browser]:
    """Run a browser, which ends before the servers do."""
    with chromium_running() as browser:
        yield browser


@pytest.fixture
def anybody(chromium: Browser, plant: World) -> Iterator[Page]:
    """Open a browser in which nobody is logged in."""
    with chromium.new_context(base_url=plant.controller, ignore_https_errors=True) as context:
        yield context.new_page()


@pytest.fixture
def page(anybody: Page) -> Page:
    """Open the Routing page as the operator."""
    log_in(anybody)
    return anybody


@pytest.fixture
def seen(anybody: Page) -> Seen:
    """Record what the browser of `page` sends and receives."""
    return Seen(anybody.context)

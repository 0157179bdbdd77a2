"""Browsers of people who are logged in, and what their browsers send and receive."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.example_node.controller.browser.people import Seen, log_in
from tests.example_node.controller.world import World


@pytest.fixture(scope="module")
def chromium(plant: World) -> Iterator[Browser]:
    """Run Debian's Chromium, which ends before the servers do; nothing is downloaded."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        # Tests in containers run as root, whose processes Chromium has no sandbox for.
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        # A machine that runs other tests beside is slow.
        expect.set_options(timeout=20_000)
        yield browser
        browser.close()


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

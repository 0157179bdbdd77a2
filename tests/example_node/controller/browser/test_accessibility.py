"""What axe-core finds on each page, in both colour schemes."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.example_node.controller.browser.people import log_in
from tests.example_node.controller.world import World

AXE = files("axe_playwright_python").joinpath("axe.min.js")
SERIOUS = {"serious", "critical"}


def findings(page: Page) -> list[str]:
    """Return the serious findings of a page, each with the element it is about."""
    page.evaluate(AXE.read_text())
    passed, violations = page.evaluate(
        "axe.run().then(found => [found.passes.length, found.violations])"
    )
    assert passed > 5
    return [
        f"{each['id']}: {node['html']}"
        for each in violations
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_no_page_has_a_serious_finding(
    chromium: Browser, plant: World, scheme: Literal["dark", "light"]
) -> None:
    """Names, roles, contrast and order, on all pages that the navigation has."""
    with chromium.new_context(
        base_url=plant.controller, ignore_https_errors=True, color_scheme=scheme, bypass_csp=True
    ) as context:
        page = context.new_page()
        page.goto("/")
        found = {"/": findings(page)}
        log_in(page)
        paths = [link.get_attribute("href") for link in page.locator("nav a").all()]
        assert len(paths) >= 5
        for path in filter(None, paths):
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            found[path] = findings(page)
    assert not any(found.values()), found


def test_all_is_reached_at_200_percent_zoom(chromium: Browser, plant: World) -> None:
    """At half the width nothing is cut off, and the page scrolls in one direction only."""
    with chromium.new_context(
        base_url=plant.controller, ignore_https_errors=True, viewport={"width": 640, "height": 400}
    ) as context:
        page = context.new_page()
        log_in(page)
        paths = [link.get_attribute("href") for link in page.locator("nav a").all()]
        for path in filter(None, paths):
            page.goto(path)
            wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wider) <= 0, path

"""The page, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from nmos_auth.probe.catalogue import CATALOGUE
from nmos_auth.probe.judging import Result, Verdict
from nmos_auth.probe.page import as_html
from nmos_auth.probe.reports import Report
from nmos_auth.probe.table import ROWS
from tests.support.browser import chromium_running, serious_findings


def reports() -> list[Report]:
    """Return a run on two devices, one of them with faults of every kind."""
    verdicts = [Verdict.PASS] * 20 + [Verdict.UNTESTED, Verdict.INAPPLICABLE]
    verdicts += [Verdict.FAIL, Verdict.WARNING]
    results = [
        Result.of(
            row,
            verdicts[number % len(verdicts)],
            sent=f"GET /x-nmos/node/v1.3/{'a-long-path-' * 12}?access_token=TOKEN",
            came="200",
        )
        for number, row in enumerate(CATALOGUE)
    ]
    hostile = Result(
        "x",
        "jose",
        "<img src=http://evil.invalid/x onerror=alert(1)>",
        ROWS[0].source,
        Verdict.FAIL,
        "GET /</td><script>alert(1)</script>",
        "200",
        "It says \u202e<b>bold</b>.",
    )
    return [
        Report("https://node1.example.com", [*results, hostile]),
        Report("https://registry.example.com:8444", results[:20]),
    ]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Run a browser."""
    with chromium_running() as browser:
        yield browser


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the page is."""
    path = tmp_path / "report.html"
    path.write_text(as_html(reports(), date="2030-01-01 12:00 UTC"), "utf-8")
    return path


def test_a_browser_shows_the_page(chromium: Browser, path: Path) -> None:
    """What asks for something to be done is seen at once, and the rest can be unfolded."""
    with chromium.new_page() as page:
        asked: list[str] = []
        told: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: told.append(message.text))
        page.goto(path.as_uri())
        expect(page.locator("section")).to_have_count(2)
        expect(page.locator("tbody tr")).to_have_count(len(CATALOGUE) + 1 + 20)
        expect(page.locator("td.fail").first).to_be_visible()
        expect(page.locator("details table").first).not_to_be_visible()
        page.locator("summary").first.click()
        expect(page.locator("details table").first).to_be_visible()
        expect(page.locator("img, script, link")).to_have_count(0)
    assert asked == [path.as_uri()]
    assert told == []


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_a_desk_and_a_telephone(chromium: Browser, path: Path, width: int) -> None:
    """Nothing is cut off, and nothing scrolls sideways."""
    size: ViewportSize = {"width": width, "height": 900}
    with chromium.new_page(viewport=size) as page:
        page.goto(path.as_uri())
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_everybody_can_read_it(
    chromium: Browser, tmp_path: Path, scheme: Literal["dark", "light"]
) -> None:
    """Names, order and contrast: axe-core finds nothing serious in a row of each verdict."""
    path = tmp_path / "report.html"
    path.write_text(as_html([Report("https://a.example", reports()[0].results[18:25])], date="x"))
    with chromium.new_page(color_scheme=scheme, bypass_csp=True) as page:
        page.goto(path.as_uri())
        assert serious_findings(page) == []

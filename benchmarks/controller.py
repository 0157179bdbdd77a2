"""How quick the Controller's Routing page is, in Chromium, with thousands of Receivers."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.effort import Effort
from benchmarks.report import BudgetCheck, Section, Table
from tests.example_node.controller.browser.lying import many_receivers
from tests.example_node.controller.browser.people import log_in
from tests.example_node.controller.world import World, world
from tests.support.tls import TestAuthority

__all__ = ["measure"]

FIRST_ROWS_MS = 2000.0
FILTER_MS = 100.0
LONGEST_TASK_MS = 200.0
CHANGES_A_SECOND = 200
_STEP = 0.1

_FIRST_ROW = """() => new Promise(done => {
  const look = () => document.querySelector("#receivers .row")
    ? done(performance.now()) : requestAnimationFrame(look);
  look();
})"""
_FILTER = """text => new Promise(done => {
  const filter = document.getElementById("receivers-filter");
  const began = performance.now();
  filter.value = text;
  filter.dispatchEvent(new Event("input"));
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
})"""
_WATCH_TASKS = """() => {
  window.longest = 0;
  new PerformanceObserver(list => {
    for (const each of list.getEntries()) window.longest = Math.max(window.longest, each.duration);
  }).observe({ type: "longtask" });
}"""


async def measure(directory: Path, effort: Effort) -> Section:
    """Measure the first rows, a filter, and the longest task of the page while rows change."""
    return await asyncio.to_thread(_measure, directory, effort)


def _measure(directory: Path, effort: Effort) -> Section:
    program = shutil.which("chromium")
    if program is None:
        nothing = Table("the Routing page: Chromium is not installed", ("step", "ms"), [])
        return Section("controller", [nothing])
    receivers, seconds = effort.receivers, effort.page_seconds
    tls = TestAuthority.create(directory)
    with (
        world(tls, directory, resources=list(many_receivers(receivers))) as plant,
        plant.controlling(),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        page = browser.new_page(base_url=plant.controller, ignore_https_errors=True)
        log_in(page)
        expect(page.locator("#receivers-count")).to_have_text(str(receivers), timeout=60_000)
        page.goto("/routing", wait_until="commit")
        first: float = page.evaluate(_FIRST_ROW)
        expect(page.locator("#receivers-count")).to_have_text(str(receivers), timeout=60_000)
        filtered: float = max(
            page.evaluate(_FILTER, text) for text in ("receiver 03-42", "receiver", "")
        )
        longest = _longest_task(page, plant, seconds)
        browser.close()
    steps = [
        (f"first rows of {receivers:,}", first, FIRST_ROWS_MS),
        ("a filter, the slowest of three", filtered, FILTER_MS),
        (f"longest task, {CHANGES_A_SECOND} changes/s for {seconds:g} s", longest, LONGEST_TASK_MS),
    ]
    notes = ("tasks of less than 50 ms are not reported, and are 0 here",)
    table = Table("the Routing page, in ms", ("step", "measured", "budget"), [*steps], notes)
    checks = [
        BudgetCheck(f"{step}: {budget:.0f} ms", f"{measured:.0f} ms", measured <= budget)
        for step, measured, budget in steps
    ]
    return Section("controller", [table], checks)


def _longest_task(page: Page, plant: World, seconds: float) -> float:
    page.evaluate(_WATCH_TASKS)
    with _changing(plant):
        page.wait_for_timeout(seconds * 1000)
    # Rows of before would mean that nothing was told.
    expect(page.locator("#receivers .what").first).to_have_text(re.compile(r"-\d\d \d+$"))
    longest: float = page.evaluate("window.longest")
    return longest


@contextlib.contextmanager
def _changing(plant: World) -> Iterator[None]:
    """Have Receivers change in the Registry until the block ends."""
    ended, loop = threading.Event(), plant.loop
    if loop is None:
        raise RuntimeError("the Registry does not run")
    resources = [record.data for record in plant.registered["receivers"].values()]

    def change(step: int) -> None:
        count = int(CHANGES_A_SECOND * _STEP)
        for index in range(step * count, (step + 1) * count):
            data = resources[index % len(resources)]
            changed = {**data, "label": f"{data['label']} {step}", "version": f"{100 + step}:0"}
            plant.registered.register("receivers", changed)

    def run() -> None:
        step = 0
        while not ended.wait(_STEP):
            loop.call_soon_threadsafe(change, step)
            step += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

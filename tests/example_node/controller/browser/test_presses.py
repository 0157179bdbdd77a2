"""Presses and keys while the plant changes: they are for what was shown when they began."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.example_node.controller.browser.people import log_in
from tests.example_node.controller.world import Person, World, node_of
from tests.example_node.registry.support import resource, uuid

NOTHING = "No destination chosen ← no source chosen"


@pytest.fixture(scope="module")
def page(chromium: Browser, plant: World) -> Iterator[Page]:
    """Open a browser in which the operator is logged in."""
    with chromium.new_context(base_url=plant.controller, ignore_https_errors=True) as context:
        page = context.new_page()
        log_in(page)
        yield page


# What a Node answered stays with the id of a row, so each test has ids of its own.
_FIRST = itertools.count(9100, 100)


class Rows:
    """Receivers that only the Registry knows, with labels as a test has them."""

    def __init__(self, plant: World) -> None:
        self._plant = plant
        self._first = next(_FIRST)
        self._labels: Mapping[int, str] = {}
        self._version = 0

    def id(self, number: int) -> str:
        """Return the id of one of them."""
        return uuid(self._first + number)

    def are(self, labels: Mapping[int, str]) -> None:
        """Have these Receivers and no others, from one moment to the next."""
        (device,) = node_of(self._plant).resources.devices
        known, self._labels = self._labels, labels
        self._version += 1
        shown = [
            resource(
                "receiver",
                id=self.id(number),
                device_id=device,
                label=f"press {label}",
                version=f"{self._version}:0",
            )
            for number, label in labels.items()
            if known.get(number) != label
        ]

        def change(registry: object) -> None:
            for number in known.keys() - labels.keys():
                registry.remove("receivers", self.id(number))  # type: ignore[attr-defined]
            for each in shown:
                registry.register("receivers", each)  # type: ignore[attr-defined]

        self._plant.tell(change)


@pytest.fixture
def rows(plant: World, page: Page) -> Iterator[Rows]:
    """Show only Receivers of a test on the Routing page."""
    rows = Rows(plant)
    page.goto("/routing")
    expect(page.locator("#state")).to_have_text("Live")
    page.locator("#receivers-filter").fill("press")
    yield rows
    rows.are({})


def names(page: Page, *labels: str) -> None:
    """Wait until these rows are shown; they stand in the document in this order."""
    expect(page.locator("#receivers .what")).to_have_text([f"press {label}" for label in labels])


def press(page: Page, place: Locator) -> None:
    """Press the button of the mouse over a place, and hold it."""
    place.hover()
    page.mouse.down()


def chosen(page: Page) -> Locator:
    """Return the rows that are chosen."""
    return page.locator("#receivers [aria-selected=true] .what")


@pytest.fixture
def asked(page: Page) -> Iterator[list[str]]:
    """Record the changes that the page asks for."""
    seen: list[str] = []

    def note(request: object) -> None:
        if request.method == "POST":  # type: ignore[attr-defined]
            seen.append(request.post_data or "")  # type: ignore[attr-defined]

    page.on("request", note)
    yield seen
    page.remove_listener("request", note)


def test_a_press_chooses_nothing_that_came_in_between(page: Page, rows: Rows) -> None:
    """The row goes and another comes in its place while the button is down; then nothing is it."""
    rows.are({1: "a", 2: "b"})
    names(page, "a", "b")
    press(page, page.get_by_text("press a"))
    rows.are({3: "a2", 2: "b"})
    names(page, "a2", "b")
    page.mouse.up()
    expect(page.locator("#choice")).to_have_text(NOTHING)
    expect(chosen(page)).to_have_count(0)
    page.get_by_text("press a2").click()
    expect(chosen(page)).to_have_text(["press a2"])


def test_a_press_outlives_what_happens_to_other_rows(page: Page, rows: Rows) -> None:
    """Rows below it come and go, its own text changes: it is chosen."""
    rows.are({1: "a", 2: "b"})
    names(page, "a", "b")
    press(page, page.get_by_text("press a"))
    rows.are({1: "a1", 3: "c"})
    names(page, "a1", "c")
    page.mouse.up()
    expect(chosen(page)).to_have_text(["press a1"])


def test_the_document_has_rows_in_the_order_that_is_shown(page: Page, rows: Rows) -> None:
    """So a screen reader reads them, whatever came when; scrolling changes nothing about it."""
    rows.are({1: "d", 2: "b"})
    names(page, "b", "d")
    rows.are({1: "d", 2: "e", 3: "a", 4: "c"})
    names(page, "a", "c", "d", "e")
    page.locator("#receivers-filter").fill("")
    box = page.locator("#receivers")
    for share in (1, 0.5, 0):
        places = box.evaluate(
            """async (box, share) => {
                box.scrollTop = box.scrollHeight * share;
                for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
                return [...box.querySelectorAll("[role=option]")].map((row) => +row.ariaPosInSet);
            }""",
            share,
        )
        assert places == list(range(places[0], places[0] + len(places)))


def test_what_is_scrolled_to_stays_under_the_pointer(page: Page, rows: Rows) -> None:
    """Rows that come or go above it move nothing that a user may be about to press."""
    labels = {number: f"row {number + 10}" for number in range(40)}
    rows.are(labels)
    row = page.get_by_text("press row 40")
    expect(page.locator("#receivers-count")).to_contain_text("40 of ")
    page.locator("#receivers").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    place = row.bounding_box()
    assert place is not None
    for more, count in (({50: "a", 51: "b", 52: "c"}, "43 of "), ({}, "40 of ")):
        rows.are(labels | more)
        expect(page.locator("#receivers-count")).to_contain_text(count)
        assert row.bounding_box() == place


def test_a_button_is_for_the_choice_that_was_shown(
    page: Page, rows: Rows, asked: list[str]
) -> None:
    """A destination that goes or comes while the button is down is not changed."""
    rows.are({1: "a"})
    page.get_by_text("press a").click()
    button = page.get_by_role("button", name="Disconnect")
    press(page, button)
    rows.are({})
    expect(page.locator("#choice")).to_have_text(NOTHING)
    page.mouse.up()
    expect(page.locator("#result")).to_have_text("Choose a destination first.")
    press(page, button)
    rows.are({1: "a"})
    expect(page.locator("#choice")).to_contain_text("press a")
    page.mouse.up()
    expect(page.locator("#result")).to_have_text("Choose a destination first.")
    assert asked == []
    button.click()
    expect(page.locator("#result")).to_contain_text("The Node does not have this (404)")
    assert [rows.id(1) in each for each in asked] == [True]


def test_disconnect_is_for_the_source_that_was_shown(
    page: Page, operator: Person, plant: World, video: dict[str, str]
) -> None:
    """Who presses it does not disconnect what another user connects meanwhile."""
    receiver = node_of(plant).receivers[video["receiver"]]
    operator.post("/take", key="before Disconnect is pressed", **video)
    page.goto("/routing")
    expect(page.locator("#state")).to_have_text("Live")
    page.locator("#receivers-filter").fill(video["receiver"])
    now = page.locator("#receivers .now")
    # Without scripts, and until the filter is applied, there are others.
    expect(now).to_have_count(1)
    expect(now).to_contain_text("Studio B")
    page.locator("#receivers [role=option]").click()
    press(page, page.get_by_role("button", name="Disconnect"))
    other = next(iter(node_of(plant).senders))
    operator.post(
        "/take", key="while Disconnect is pressed", receiver=video["receiver"], sender=other
    )
    expect(now).to_have_text("← Video sender")
    page.mouse.up()
    expect(page.locator("#result")).to_contain_text("has another source by now")
    assert receiver.active.sender_id == other


def test_a_press_without_a_click_is_forgotten(page: Page, rows: Rows, asked: list[str]) -> None:
    """The focus goes while a key is down; a later click without a press is for what is shown."""
    rows.are({1: "a", 2: "b"})
    names(page, "a", "b")
    page.get_by_text("press a").click()
    button = page.get_by_role("button", name="Disconnect")
    button.focus()
    page.keyboard.down(" ")
    page.keyboard.press("Tab")
    page.keyboard.up(" ")
    page.locator("#receivers").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(chosen(page)).to_have_text(["press b"])
    button.dispatch_event("click")
    expect(page.locator("#result")).to_contain_text("The Node does not have this (404)")
    assert [rows.id(2) in each for each in asked] == [True]


def test_a_cell_is_for_what_it_showed(
    page: Page, operator: Person, video: dict[str, str], asked: list[str]
) -> None:
    """Who presses a cell to connect does not disconnect what another user connects meanwhile."""
    page.goto(f"/matrix?q={video['receiver']}&s={video['sender']}")
    expect(page.locator("#state")).to_have_text("Live")
    cell = page.locator("#matrix td button")
    # The Registry may tell late that another test has disconnected it.
    expect(cell).to_have_attribute("aria-pressed", "false")
    press(page, cell)
    operator.post("/take", key="while a cell is pressed", **video)
    expect(cell).to_have_attribute("aria-pressed", "true")
    page.mouse.up()
    expect(page.locator("#result")).to_contain_text("Connected to Video sender")
    assert ["off" in each for each in asked] == [False]


def test_a_key_that_is_held_is_one_press(page: Page, rows: Rows, asked: list[str]) -> None:
    """Enter goes from filter to list, and at last to TAKE: a step each time it is pressed."""
    rows.are({1: "a"})
    names(page, "a")
    page.locator("#receivers-filter").focus()
    for _ in range(20):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    expect(page.locator("#receivers")).to_be_focused()
    expect(chosen(page)).to_have_count(0)
    page.keyboard.press("Enter")
    expect(chosen(page)).to_have_text(["press a"])
    expect(page.locator("#senders-filter")).to_be_focused()
    assert asked == []


def test_a_key_is_for_the_row_that_was_at_hand(page: Page, rows: Rows) -> None:
    """Where that has gone, Enter does nothing until the user has gone to another one."""
    rows.are({1: "a", 2: "b"})
    names(page, "a", "b")
    page.locator("#receivers").focus()
    box = page.locator("#receivers")
    expect(box).to_have_attribute("aria-activedescendant", f"receivers-{rows.id(1)}")
    rows.are({2: "b"})
    names(page, "b")
    expect(box).not_to_have_attribute("aria-activedescendant", f"receivers-{rows.id(1)}")
    page.keyboard.press("Enter")
    expect(box).to_be_focused()
    expect(page.locator("#choice")).to_have_text(NOTHING)
    page.keyboard.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", f"receivers-{rows.id(2)}")
    page.keyboard.press("Enter")
    expect(chosen(page)).to_have_text(["press b"])


def test_links_and_messages_stay_while_other_rows_change(page: Page, rows: Rows) -> None:
    """A link to what is chosen keeps the focus, and why a button did nothing can be read."""
    rows.are({1: "a"})
    page.get_by_text("press a").click()
    link = page.locator("#choice a")
    link.focus()
    page.get_by_role("button", name="TAKE").dispatch_event("click")
    expect(page.locator("#result")).to_have_text("Choose a source.")
    rows.are({1: "a", 2: "b"})
    names(page, "a", "b")
    expect(link).to_be_focused()
    expect(page.locator("#result")).to_have_text("Choose a source.")
    page.get_by_text("press b").click()
    expect(page.locator("#result")).to_be_empty()

"""A person at the Routing page: login, mouse, keyboard, and what the browser keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, Page, expect

from example_node.registry.registry import Registry
from example_node.resources import WEBSOCKET
from tests.example_node.controller.browser.people import Seen, choose, log_in, sign_in
from tests.example_node.controller.world import Person, World, node_of, patches, until
from tests.example_node.registry.support import uuid
from tests.support.browser import serious_findings

RECEIVER = "Studio A Video receiver"
SENDER = "Studio B Video sender"


@pytest.fixture(autouse=True)
def _nothing_connected(plant: World, operator: Person) -> Iterator[None]:
    """Leave the Receiver of the tests as it was."""
    yield
    operator.post("/disconnect", receiver=next(iter(node_of(plant).receivers)))


def test_a_wrong_password_and_a_refused_consent_are_told(anybody: Page) -> None:
    """The server says the first; the Controller says the second, and offers another attempt."""
    anybody.goto("/login?next=/routing")
    sign_in(anybody, password="wrong")
    expect(anybody.get_by_role("alert")).to_be_visible()
    sign_in(anybody)
    anybody.get_by_role("button", name="Refuse").click()
    expect(anybody.get_by_role("heading")).to_have_text("The login failed")
    anybody.get_by_role("link", name="Try again").click()
    anybody.get_by_role("button", name="Authorize").click()
    expect(anybody.get_by_role("heading", name="Routing")).to_be_visible()


def test_two_tabs_may_log_in_at_once_and_log_out_together(anybody: Page) -> None:
    """Each login ends where it began; a logout in one is soon seen by the other."""
    other = anybody.context.new_page()
    for page in (anybody, other):
        page.goto("/login?next=/routing")
    sign_in(anybody)
    anybody.get_by_role("button", name="Authorize").click()
    expect(anybody.get_by_role("heading", name="Routing")).to_be_visible()
    # The server has one session a browser: the form of before its login is not part of it.
    sign_in(other)
    other.get_by_role("link", name="Go on").click()
    other.get_by_role("button", name="Authorize").click()
    expect(other.get_by_role("heading", name="Routing")).to_be_visible()
    # The first tab has gone on with the session of the second.
    expect(anybody.locator("#state")).to_have_text("Live")
    anybody.get_by_role("button", name="Log out").click()
    expect(other.get_by_role("link", name="Log in")).to_be_visible()


def test_the_browser_never_has_a_token(seen: Seen, page: Page, plant: World) -> None:
    """No cookie, storage, URL, header or body of any request or answer has one."""
    choose(page, "receivers", RECEIVER)
    choose(page, "senders", SENDER)
    page.get_by_role("button", name="TAKE").click()
    expect(page.locator("#result")).to_contain_text("Connected to Video sender")
    for link in ("Devices", "Me", "Status"):
        page.get_by_role("link", name=link).click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    kept = page.evaluate(
        "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])"
    )
    everything = seen.everything() + kept + repr(page.context.cookies())
    assert len(seen.urls) > 10
    assert "eyJ" not in everything
    assert "Bearer" not in everything
    assert "x-nmos/connection" not in everything


def test_take_disconnect_and_undo_by_mouse(page: Page, plant: World) -> None:
    """Each is one PATCH, also where TAKE is clicked twice."""
    receiver = next(iter(node_of(plant).receivers.values()))
    before = patches(plant)
    choose(page, "receivers", RECEIVER)
    choose(page, "senders", SENDER)
    # The key of a change outlives its answer for as long as a double click may last.
    key = page.locator("input[name=key]")
    first = key.input_value()
    page.get_by_role("button", name="TAKE").dblclick()
    expect(page.locator("#result")).to_contain_text("Connected to Video sender")
    assert receiver.active.master_enable
    assert patches(plant) == before + 1
    expect(key).not_to_have_value(first)
    first = key.input_value()
    page.get_by_role("button", name="Disconnect").click()
    expect(page.locator("#result")).to_contain_text("Disconnected")
    assert not receiver.active.master_enable
    expect(key).not_to_have_value(first)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#result")).to_contain_text("Undone: connected to Video sender")
    assert receiver.active.master_enable
    assert patches(plant) == before + 3


def test_take_disconnect_and_undo_by_keyboard(page: Page, plant: World) -> None:
    """Filters, Enter and Tab: nothing needs a mouse, and each is one PATCH."""
    before = patches(plant)
    page.locator("#receivers-filter").focus()
    page.keyboard.type(RECEIVER)
    page.keyboard.press("Enter")
    expect(page.locator("#receivers")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#senders-filter")).to_be_focused()
    page.keyboard.type(SENDER)
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="TAKE")).to_be_focused()
    key = page.locator("input[name=key]")
    steps = ("Connected to Video sender", "Disconnected", "Undone: connected to Video sender")
    for step in steps:
        last = key.input_value()
        page.keyboard.press("Enter")
        expect(page.locator("#result")).to_contain_text(step)
        expect(key).not_to_have_value(last)
        page.keyboard.press("Tab")
    assert patches(plant) == before + len(steps)


def test_a_page_that_is_not_live_says_for_how_long(page: Page) -> None:
    """It counts the seconds by itself, and says no more of it once it is live again."""
    page.route("**/live*", lambda route: route.abort())
    page.reload()
    expect(page.locator("#state")).to_have_text("Not live: the Controller does not answer")
    expect(page.locator("#age")).to_have_text(re.compile(r"\(for [1-9] s\)"))
    page.unroute("**/live*")
    expect(page.locator("#state")).to_have_text("Live")
    expect(page.locator("#age")).to_be_empty()


def test_a_cell_of_the_matrix(page: Page, plant: World) -> None:
    """It connects and shows that, and then disconnects."""
    receiver_id, receiver = next(iter(node_of(plant, 0).receivers.items()))
    page.goto(f"/matrix?q={receiver_id}&s={next(iter(node_of(plant, 1).senders))}")
    cell = page.locator("#matrix td button")
    expect(cell).to_have_count(1)
    # The Registry may tell late that another test has disconnected it.
    expect(cell).to_have_attribute("aria-pressed", "false")
    for pressed, said in (("true", "Connected to Video sender"), ("false", "Disconnected")):
        cell.click()
        expect(page.locator("#result")).to_contain_text(said)
        expect(cell).to_have_attribute("aria-pressed", pressed)
        assert receiver.active.master_enable is (pressed == "true")
        expect(cell).not_to_have_attribute("aria-busy", "true")


def test_a_salvo_is_kept_replaced_and_removed(
    chromium: Browser, plant: World, video: dict[str, str]
) -> None:
    """A double click does what one click does: the page that asks first is not answered by it."""
    with chromium.new_context(
        base_url=plant.controller, ignore_https_errors=True, bypass_csp=True
    ) as context:
        page = context.new_page()
        log_in(page)

        def keep(words: str) -> None:
            page.goto("/salvos")
            page.get_by_label("Name").fill("Evening")
            page.get_by_label("Destinations that have").fill(words)
            page.get_by_role("button", name="Keep").dblclick()

        salvo = page.get_by_role("region", name="Evening")
        keep(video["receiver"])
        expect(salvo.locator("summary")).to_have_text("1 destinations, kept by operator")
        keep("Studio A")
        expect(page.get_by_role("heading", level=1)).to_have_text("Replace the salvo Evening?")
        assert not serious_findings(page)
        page.get_by_role("link", name="Leave it as it is").click()
        expect(salvo.locator("summary")).to_have_text("1 destinations, kept by operator")
        keep("Studio A")
        page.get_by_role("button", name="Replace").dblclick()
        expect(salvo.locator("summary")).not_to_have_text("1 destinations, kept by operator")
        salvo.get_by_role("button", name="Remove").dblclick()
        expect(page.get_by_role("heading", level=1)).to_have_text("Remove the salvo Evening?")
        page.get_by_role("button", name="Remove").dblclick()
        expect(page.get_by_text("No salvo is kept.")).to_be_visible()


def test_a_viewer_is_told_why_and_stays_logged_in(anybody: Page, plant: World) -> None:
    """Buttons say why they do nothing; a request that is sent all the same is a text on its row."""
    log_in(anybody, "viewer")
    before = patches(plant)
    choose(anybody, "receivers", RECEIVER)
    choose(anybody, "senders", SENDER)
    take = anybody.get_by_role("button", name="TAKE")
    expect(take).to_have_attribute("aria-disabled", "true")
    expect(take).to_have_attribute("title", re.compile("does not permit"))
    take.click(force=True)
    expect(anybody.locator("#result")).to_contain_text("does not permit")
    answer = anybody.evaluate(
        """async ([receiver, sender]) => {
            const body = new URLSearchParams({ key: "forged", receiver, sender });
            const headers = { accept: "application/json" };
            return (await fetch("/take", { method: "POST", body, headers })).json();
        }""",
        [next(iter(node_of(plant, 0).receivers)), next(iter(node_of(plant, 1).senders))],
    )
    assert (answer["status"], answer["outcome"]) == (403, "refused")
    expect(anybody.locator("#receivers .note").first).to_contain_text("(403)")
    anybody.reload()
    expect(anybody.get_by_role("heading", name="Routing")).to_be_visible()
    assert patches(plant) == before


def test_a_node_stops_and_returns(page: Page, plant: World) -> None:
    """Its rows go and come by themselves; what is scrolled to and focused stays."""
    page.locator("#receivers-filter").focus()
    page.locator("#senders").evaluate("box => { box.scrollTop = 120; }")
    shown = page.locator("#receivers-count")
    receivers = plant.registered["receivers"]
    before, senders = len(receivers), len(plant.registered["senders"])
    for _ in range(2):
        with plant.node("Studio C"):
            until(lambda: len(receivers) == before + before // 2)
            expect(shown).to_have_text(str(len(receivers)))
        until(lambda: len(receivers) == before)
        expect(shown).to_have_text(str(before))
    expect(page.locator("#receivers-filter")).to_be_focused()
    # Rows without a Node come first: what is in view is moved until all of them are gone.
    expect(page.locator("#senders-count")).to_have_text(str(senders))
    assert page.locator("#senders").evaluate("box => box.scrollTop") == 120


def test_sources_of_events_come_and_go(page: Page, plant: World) -> None:
    """The page Events shows them in their order, and no longer than they are there."""
    known = [
        plant.registered["senders"][each.id].data
        for each in node_of(plant).resources.senders.values()
        if each.transport == WEBSOCKET
    ]
    page.goto("/events")
    names = page.locator("tr", has_text="Studio A device").locator("a")
    expect(names).to_have_count(len(known))
    new = {**known[0], "id": uuid(9015)}
    for version, (label, place) in enumerate((("Aardvark", names.first), ("Zebra", names.last)), 1):
        shown = {**new, "label": label, "version": f"{version}:0"}
        plant.tell(partial(Registry.register, collection="senders", data=shown))
        expect(place).to_have_text(label)
        expect(place).to_have_attribute("href", f"/sender/{new['id']}")
        expect(names).to_have_count(len(known) + 1)
    plant.tell(lambda registry: registry.remove("senders", new["id"]))
    expect(names).to_have_count(len(known))
    expect(page.get_by_text("Zebra")).to_have_count(0)


def test_without_scripts(chromium: Browser, plant: World) -> None:
    """Lists and connecting work as plain forms where JavaScript is switched off."""
    with chromium.new_context(
        base_url=plant.controller, ignore_https_errors=True, java_script_enabled=False
    ) as context:
        page = context.new_page()
        page.goto("/login?next=/routing")
        sign_in(page)
        page.get_by_role("button", name="Authorize").click()
        while not page.locator("input[name=receiver]").count():
            page.reload()
        page.get_by_label("Filter Destinations").fill(RECEIVER)
        page.get_by_label("Filter Destinations").press("Enter")
        page.get_by_label("Filter Sources").fill(SENDER)
        page.get_by_label("Filter Sources").press("Enter")
        page.locator("input[name=receiver]").first.check()
        page.locator("input[name=sender]").first.check()
        before = patches(plant)
        page.get_by_role("button", name="TAKE").click()
        expect(page.locator("#result")).to_contain_text("Connected to")
        assert patches(plant) == before + 1

"""A day at the Controller: everything real, from the login to the Node, without a script."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from tests.example_node.controller.world import (
    Person,
    Stream,
    World,
    node_of,
    note,
    patches,
    see_all,
    until,
)


def test_take_disconnect_and_undo(plant: World, operator: Person, video: dict[str, str]) -> None:
    """Each is one PATCH; the row says so once Node and Registry agree, and undo restores."""
    receiver = node_of(plant).receivers[video["receiver"]]
    before = patches(plant)
    assert operator.post("/take", key="one", **video)["outcome"] in {"agreed", "done"}
    assert patches(plant) == before + 1
    assert receiver.active.sender_id == video["sender"]
    assert receiver.active.master_enable
    until(lambda: note(operator, video["receiver"]).startswith("Connected to Video sender ("))
    operator.post("/disconnect", key="two", **video)
    assert not receiver.active.master_enable
    said = str(operator.post("/undo", key="three", **video)["text"])
    assert said.startswith("Undone: connected to Video sender")
    assert receiver.active.sender_id == video["sender"]
    assert patches(plant) == before + 3
    log = operator.http.get("/log").text
    assert "Video receiver: Connected to Video sender" in log
    assert "<td>operator</td>" in log


def test_a_double_click_is_one_patch(plant: World, operator: Person, video: dict[str, str]) -> None:
    """Two clicks bring the same key, and get the same answer, at once or later."""
    before = patches(plant)
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(operator.post, "/take", key="double", **video) for _ in range(4)]
    said = [each.result() for each in answers]
    said.append(operator.post("/take", key="double", **video))
    assert patches(plant) == before + 1
    assert all(each == said[0] for each in said)


def test_it_works_as_plain_forms(plant: World, operator: Person, video: dict[str, str]) -> None:
    """A browser without scripts sends the form, and is led back to the page it came from."""
    page = operator.http.post(
        "/take",
        data={**video, "key": "plain", "back": "/routing?q=video"},
        headers={"origin": operator.origin},
    )
    assert page.status_code == 200
    assert page.url.path == "/routing"
    assert dict(page.url.params) == {"q": "video", **video}
    assert "← Video sender" in page.text or "does not show it yet" in page.text
    missing = operator.http.post(
        "/take", data={"receiver": video["receiver"]}, headers={"origin": operator.origin}
    )
    assert missing.status_code == 400
    assert "Choose a source first." in missing.text


def test_what_is_scheduled_locks_its_row(
    plant: World, operator: Person, video: dict[str, str]
) -> None:
    """202 says when; until then other changes are 423, in words; cancelling unlocks."""
    said = operator.post("/take", key="later", seconds="3600", **video)
    assert said["outcome"] == "scheduled"
    assert operator.post("/take", key="now", **video)["status"] == 423
    assert note(operator, video["receiver"]).startswith("Locked by a scheduled activation")
    assert operator.post("/cancel", **video)["outcome"] == "done"
    assert operator.post("/take", key="again", **video)["outcome"] in {"agreed", "done"}


def test_a_viewer_is_told_why(plant: World, viewer: Person, video: dict[str, str]) -> None:
    """Rows say what his token does not permit; what he sends nevertheless, the Node refuses."""
    see_all(viewer)
    before = patches(plant)
    assert "does not permit you to write" in note(viewer, video["receiver"])
    said = viewer.post("/take", key="forged", **video)
    assert (said["status"], said["outcome"]) == (403, "refused")
    assert patches(plant) == before
    assert "Refused: your token does not permit this (403)" in note(viewer, video["receiver"])
    me = viewer.http.get("/me")
    assert me.status_code == 200
    assert "viewer" in me.text


def test_the_browser_has_no_token(plant: World, operator: Person) -> None:
    """Neither cookies nor pages have one, nor any href of a Device."""
    see_all(operator)
    pages = "".join(
        operator.http.get(path).text
        for path in ("/routing", "/devices", "/log", "/me", "/status", "/session")
    )
    kept = "".join(f"{each.name}={each.value}" for each in operator.cookies)
    assert "eyJ" not in pages + kept
    assert "x-nmos/connection" not in pages
    ours = [each for each in operator.cookies if each.name.startswith("__Host-nmos-auth")]
    assert ours
    assert all(each.secure and each.has_nonstandard_attr("HttpOnly") for each in ours)


FOREIGN = (
    {"origin": "https://localhost:1"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "none"},
)


@pytest.mark.parametrize("path", ["/take", "/disconnect", "/undo", "/logout", "/live"])
def test_foreign_pages_change_and_follow_nothing(plant: World, operator: Person, path: str) -> None:
    """A page of another origin, another port of this host included, gets 403."""
    method = "GET" if path == "/live" else "POST"
    for headers in FOREIGN:
        assert operator.http.request(method, path, headers=headers).status_code == 403
    assert operator.http.get("/session").json() == {"who": "operator"}


@pytest.mark.parametrize("path", ["/", "/routing", "/static/controller.js", "/nothing", "/login"])
def test_every_answer_has_the_security_headers(plant: World, path: str) -> None:
    """No foreign scripts, frames, referrers or caches, whoever asks."""
    with plant.person() as anybody:
        headers = anybody.http.get(path, follow_redirects=False).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_another_name_leads_nowhere(plant: World) -> None:
    """A page whose DNS record changes to this address is turned away."""
    with plant.person() as anybody:
        answer = anybody.http.get("/", headers={"host": "evil.example"})
    assert answer.status_code == 421


def test_nobody_sees_anything_without_a_login(plant: World) -> None:
    """Pages lead to the login, scripts get 401."""
    with plant.person() as anybody:
        page = anybody.http.get("/routing", follow_redirects=False)
        assert page.status_code == 303
        assert page.headers["location"] == "/login?next=%2Frouting"
        assert anybody.http.get("/live").status_code == 401
        assert anybody.http.post("/take", follow_redirects=False).status_code == 303
        assert "Log in" in anybody.http.get("/").text


def test_a_page_is_told_of_changes(plant: World, operator: Person, video: dict[str, str]) -> None:
    """A snapshot comes first; what another client does is shown after that."""
    with plant.person() as watching, plant.person() as other:
        watching.log_in()
        see_all(watching)
        other.log_in()
        see_all(other)
        with Stream(watching) as stream:
            until(lambda: "end" in stream.names())
            assert len(stream.rows) >= 20
            other.post("/take", key="other", **video)
            until(lambda: stream.rows[video["receiver"]]["sender"] == "Video sender (Studio B)")


def test_a_node_stops_and_returns(plant: World) -> None:
    """Its rows go with its end, and come back."""

    def is_there(stream: Stream) -> bool:
        return any(row["node"] == "Studio C" for row in list(stream.rows.values()))

    with plant.person() as person:
        person.log_in()
        with Stream(person) as stream:
            until(lambda: "end" in stream.names())
            for _ in range(2):
                with plant.node("Studio C"):
                    until(lambda: is_there(stream))
                until(lambda: not is_there(stream))


def test_logout_ends_all_that_goes_on(plant: World) -> None:
    """Other tabs are told at once, the desk is gone, and pages lead to the login again."""
    with plant.person() as person:
        person.log_in()
        stream = Stream(person)
        until(lambda: "end" in stream.names())
        desks = len(plant.app.state.desks)
        page = person.http.post("/logout?next=/", headers={"origin": person.origin})
        assert "Log in" in page.text
        until(lambda: "ended" in stream.names(), 5)
        stream.thread.join(10)
        assert len(plant.app.state.desks) == desks - 1
        assert (
            person.http.get("/session", headers={"accept": "application/json"}).status_code == 401
        )


def test_a_refused_consent_is_told(plant: World) -> None:
    """Who does not authorize the Controller is told so, with a way to try again."""
    with plant.person() as person:
        started = person.http.get("/login", follow_redirects=False).headers["location"]
        state = dict(httpx.QueryParams(urlsplit(started).query))["state"]
        back = dict(httpx.QueryParams(urlsplit(started).query))["redirect_uri"]
        answer = person.http.get(
            back, params={"state": state, "error": "access_denied", "iss": plant.authority.issuer}
        )
    assert answer.status_code == 400
    assert "The login failed" in answer.text
    assert "Try again" in answer.text

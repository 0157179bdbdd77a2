"""Who is led to a login, and what is said where nobody can tell who asks; and times of forms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from example_node.controller.connecting import Result
from example_node.controller.connecting.plan import AT_ONCE, When
from example_node.controller.desk import Desk
from example_node.controller.pages import Pages
from example_node.controller.sessions import TooManyDesksError
from example_node.controller.web import Routes, key_of, when_of
from nmos_auth.client import StoreError

SCRIPT = {"accept": "application/json"}


@dataclass
class FakeDesks:
    """Knows nobody."""

    fails: Exception | None = None

    async def of(self, _: object) -> Desk | None:
        """Return the desk of whoever asks."""
        if self.fails is not None:
            raise self.fails
        return None


@pytest.fixture
def desks() -> FakeDesks:
    """Desks of a Controller at which nobody is logged in."""
    return FakeDesks()


@pytest.fixture
async def browser(desks: FakeDesks) -> AsyncIterator[httpx.AsyncClient]:
    """Ask an application with one page and one form."""

    async def answer(_: Request, __: Desk, ___: Pages) -> Response:
        raise AssertionError("nobody is logged in")

    app = FastAPI()
    routes = Routes(app, desks, Pages("Test", has_login=True))  # type: ignore[arg-type]
    routes.add("GET", "/page", answer)
    routes.add("POST", "/change", answer)
    routes.add("GET", "/stream", answer, is_stream=True)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://controller") as http:
        yield http


async def test_a_login_leads_back_to_what_was_asked_for(browser: httpx.AsyncClient) -> None:
    """With its query; a change is not made by a login, so it leads to a page."""
    page = await browser.get("/page?sender=5&q=a b")
    assert page.status_code == 303
    assert page.headers["location"] == "/login?next=%2Fpage%3Fsender%3D5%26q%3Da%2520b"
    change = await browser.post("/change?x=y")
    assert change.headers["location"] == "/login?next=%2Frouting"
    for answer in (await browser.get("/stream"), await browser.post("/change", headers=SCRIPT)):
        assert (answer.status_code, answer.json()) == (401, {"text": "You are not logged in."})


@pytest.mark.parametrize(
    ("fails", "text"),
    [
        (StoreError("no answer"), "Sessions cannot be read now. Try again."),
        (TooManyDesksError(), "Too many users are at work now. Try again later."),
    ],
    ids=["store", "room"],
)
async def test_a_session_without_a_desk_does_not_end(
    browser: httpx.AsyncClient, desks: FakeDesks, fails: Exception, text: str
) -> None:
    """A page says so in a page, and a script gets a text to show."""
    desks.fails = fails
    page = await browser.get("/page")
    assert page.status_code == 503
    assert text in page.text
    answer = await browser.post("/change", headers=SCRIPT)
    assert answer.status_code == 503
    assert answer.json() == {"text": text}


def test_the_name_of_a_change() -> None:
    """The same form of the same page, sent again; every other choice is another change."""
    request = Request({"type": "http", "path": "/take", "headers": [], "query_string": b""})
    other = Request({"type": "http", "path": "/undo", "headers": [], "query_string": b""})
    fields: list[tuple[str, str | UploadFile]] = [
        ("key", "k"),
        ("receiver", "a"),
        ("receiver", "b"),
    ]
    name = key_of(request, FormData(fields))
    assert name == key_of(request, FormData(fields))
    assert name not in {
        "",
        key_of(other, FormData(fields)),
        key_of(request, FormData(fields[:2])),
        key_of(request, FormData([*fields, ("seconds", "5")])),
    }
    assert key_of(request, FormData(fields[1:])) == ""


@pytest.mark.parametrize(
    ("seconds", "when"),
    [
        ("", AT_ONCE),
        (" 2.5 ", When.after(2.5)),
        ("86400", When.after(86400)),
        ("86401", None),
        ("0", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
    ],
)
def test_when_a_change_is_to_be_made(seconds: str, when: When | None) -> None:
    """A number of seconds, up to a day; what is not one is answered by a sentence."""
    found = when_of(FormData([("seconds", seconds)]))
    if when is not None:
        assert found == when
        return
    assert isinstance(found, Result)
    assert found.text == "The time must be a number of seconds, up to a day (86400)."

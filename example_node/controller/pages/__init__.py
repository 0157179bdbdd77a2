"""The pages, as templates: every text that comes from the plant is escaped."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from example_node.controller.desk import Desk
from example_node.controller.live import state_of
from nmos_auth.client.login import LoginFailure

NAVIGATION = (
    ("/routing", "Routing"),
    ("/matrix", "Matrix"),
    ("/many", "Many"),
    ("/groups", "Groups"),
    ("/salvos", "Salvos"),
    ("/events", "Events"),
    ("/channels", "Channels"),
    ("/devices", "Devices"),
    ("/log", "Log"),
    ("/me", "Me"),
    ("/status", "Status"),
)


class Pages:
    """Makes pages.

    Args:
        label: what they are called.
        has_login: whether users log in.
    """

    def __init__(self, label: str, *, has_login: bool) -> None:
        self._environment = Environment(
            loader=PackageLoader("example_node.controller", "pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(clock=_clock, duration=_duration)
        self._environment.globals.update(
            new_key=lambda: secrets.token_urlsafe(12),
            label=label,
            has_login=has_login,
            navigation=NAVIGATION,
            desk=None,
            here="",
        )

    def page(
        self, template: str, desk: Desk, here: str, status: int = 200, **values: object
    ) -> HTMLResponse:
        """Return a page of a user.

        Args:
            template: its name, without `.html`.
            desk: the user's.
            here: the path of the page.
            status: the HTTP status.
            values: what the template shows.
        """
        return self._rendered(
            template, status, {"desk": desk, "here": here, "state": state_of(desk), **values}
        )

    def welcome(self, *, has_ended: bool) -> HTMLResponse:
        """Return the page of somebody who is not logged in, or whose session has ended."""
        return self._rendered("welcome", 200, {"has_ended": has_ended})

    def problem(self, text: str, status: int, back: str = "/routing") -> HTMLResponse:
        """Return a page that says what cannot be done, and why."""
        title = HTTPStatus(status).phrase
        return self._rendered("problem", status, {"title": title, "text": text, "back": back})

    def failed_login(self, failure: LoginFailure) -> HTMLResponse:
        """Return the page that says that a login failed."""
        return self._rendered(
            "failed_login", failure.status, {"text": str(failure.error), "retry": failure.retry}
        )

    def _rendered(self, template: str, status: int, values: Mapping[str, object]) -> HTMLResponse:
        text = self._environment.get_template(f"{template}.html").render(values)
        return HTMLResponse(text, status)


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%H:%M:%S")


def _duration(seconds: int) -> str:
    """Return seconds as people say them, like `durationOf` of the script."""
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"

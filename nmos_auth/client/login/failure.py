"""The page that users see when a login failed."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from starlette.responses import HTMLResponse, Response

from nmos_auth.client.errors import ClientError

__all__ = ["NO_STORE", "LoginFailure", "failure_page"]

NO_STORE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"


@dataclass(frozen=True)
class LoginFailure:
    """A login that failed, for the page that says so.

    Attributes:
        error: the error; its text contains no secret.
        status: the HTTP status of the answer.
        retry: the target of a link "try again", a path with a query; "" for no link.
    """

    error: ClientError
    status: int
    retry: str


def failure_page(failure: LoginFailure) -> Response:
    """Return a plain page with the reason and a link to try again."""
    again = f'<p><a href="{escape(failure.retry)}">Try again</a></p>' if failure.retry else ""
    return HTMLResponse(
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>The login failed</title>
</head>
<body>
<h1>The login failed</h1>
<p>{escape(str(failure.error))}</p>
{again}
</body>
</html>
""",
        failure.status,
        headers={**NO_STORE, "Content-Security-Policy": _POLICY},
    )

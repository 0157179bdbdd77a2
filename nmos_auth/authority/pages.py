"""The pages that users see: plain HTML, with everything escaped, without scripts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse

from nmos_auth.authority.clients import KnownClient, Permissions

__all__ = ["consent_page", "error_page", "login_page"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 10vh auto; max-width: 34rem; padding: 0 1rem }
h1 { font-size: 1.4rem }
label { display: block; margin: .75rem 0 }
input { display: block; font: inherit; padding: .4rem; width: 100%; box-sizing: border-box }
button { font: inherit; margin: 1rem .5rem 0 0; padding: .4rem 1rem }
.problem { color: #a00 }
.notice { border-top: 1px solid; font-size: .85rem; margin-top: 3rem; padding-top: .5rem }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid; padding: .3rem .5rem .3rem 0; text-align: left }
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

# There is no form-action: some browsers apply it to redirects, and would stop the answer.
_HEADERS = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def login_page(
    *, action: str, csrf: str, problem: str | None = None, status: int = 200
) -> HTMLResponse:
    """Ask for name and password. For status 401 browsers would show their own dialog."""
    shown = "" if problem is None else f'<p class="problem" role="alert">{escape(problem)}</p>'
    return _page(
        "Log in",
        f"""{shown}
<form method="post" action="{escape(action)}">
<input type="hidden" name="csrf" value="{escape(csrf)}">
<label>Name <input name="username" autocomplete="username" required></label>
<label>Password
<input name="password" type="password" autocomplete="current-password" required></label>
<button name="action" value="login">Log in</button>
</form>""",
        status=status,
    )


def consent_page(
    *,
    action: str,
    csrf: str,
    user: str,
    client: KnownClient,
    is_configured: bool,
    scopes: Sequence[str],
    redirect_uri: str,
) -> HTMLResponse:
    """Ask the user whether a Client may have what it requests."""
    name = escape(client.client_name or client.client_id)
    origin = "" if is_configured else " The client chose this name; it was not checked."
    host = escape(urlsplit(redirect_uri).netloc)
    rows = "\n".join(_permission_row(scope, client.permissions) for scope in scopes)
    return _page(
        "Authorize a client",
        f"""<p><strong>{name}</strong> asks for access to NMOS APIs on your behalf.{origin}
The answer goes to <strong>{host}</strong>. You are <strong>{escape(user)}</strong>.</p>
<table>
<tr><th>API</th><th>May read</th><th>May write</th></tr>
{rows}
</table>
<form method="post" action="{escape(action)}">
<input type="hidden" name="csrf" value="{escape(csrf)}">
<button name="action" value="approve">Authorize</button>
<button name="action" value="deny">Refuse</button>
<button name="action" value="logout">Log in as somebody else</button>
</form>""",
    )


def error_page(problem: str, *, status: int = 400, again: str | None = None) -> HTMLResponse:
    """Tell the user what cannot be told to the client (RFC 6749 Section 4.1.2.1).

    Args:
        problem: what is wrong, in a sentence.
        status: of the answer.
        again: the path and query of the page from which the user can go on.
    """
    link = "" if again is None else f'<p><a href="{escape(again)}">Go on</a></p>'
    return _page(
        "This cannot be authorized",
        f'<p class="problem" role="alert">{escape(problem)}</p>{link}',
        status=status,
    )


def _permission_row(scope: str, permissions: Mapping[str, Permissions]) -> str:
    granted = permissions.get(scope, Permissions())
    cells = [scope, ", ".join(granted.read) or "–", ", ".join(granted.write) or "–"]  # noqa: RUF001
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
<p class="notice">An Authorization Server for development. Not for production.</p>
</body>
</html>
""",
        status_code=status,
        headers=_HEADERS,
    )

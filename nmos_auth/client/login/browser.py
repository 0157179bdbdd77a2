"""Paths, cookies and origins, as a browser sees them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from nmos_auth.client.settings import SERVER_PLACEHOLDER
from nmos_auth.servers.urls import Origin

__all__ = [
    "CallbackRoute",
    "cookie_name",
    "is_own_origin",
    "local_path",
    "root_of",
    "whole_path",
]

_LONGEST_TARGET = 1000
_SERVER_TAG = "[0-9a-f]{12}"
_DEFAULT_PORTS = {"https": 443, "http": 80}


def root_of(scope: Scope, prefix: str) -> str:
    """Return the path of the application as the browser sees it: "" or `/path`, without a slash.

    Args:
        scope: the scope of a request.
        prefix: what a proxy removes from every path without setting `root_path`.
    """
    return prefix + str(scope.get("root_path", "")).rstrip("/")


def whole_path(scope: Scope, prefix: str) -> str:
    """Return the path of a request as the browser sees it.

    Some servers leave the `root_path` in the path, as the ASGI specification requires, and some
    remove it.
    """
    root, path = str(scope.get("root_path", "")).rstrip("/"), str(scope["path"])
    return prefix + (path if path == root or path.startswith(f"{root}/") else root + path)


def local_path(target: str, otherwise: str) -> str:
    """Return `target` if it is a path of this origin, with or without a query; else `otherwise`.

    Any other target would let a link send users to another site.
    """
    local = target.startswith("/") and not target.startswith(("//", "/\\"))
    plain = target.isprintable() and "\\" not in target and len(target) <= _LONGEST_TARGET
    return target if local and plain else otherwise


def cookie_name(redirect_uri: str, name: str | None) -> str:
    """Return the beginning of the names of an application's cookies.

    Cookies are shared by the ports of a host (RFC 6265 Section 8.5), and `__Host-` cookies also by
    its paths: without different names, two applications on one host would log each other's users
    out. An application at the root of a host and at the default port has the plain name.

    Args:
        redirect_uri: the application's redirect URI, with the placeholder for the server.
        name: a name that the application chooses; None to derive one.
    """
    parts = urlsplit(redirect_uri)
    # `__Host-` cookies require https, and no other host or path can set them (RFC 6265bis Section
    # 4.1.3.2).
    host_only = "__Host-" if parts.scheme == "https" else ""
    if name is not None:
        return f"{host_only}{name}"
    directory = parts.path.removesuffix(f"/{SERVER_PLACEHOLDER}").rpartition("/")[0]
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    if not directory and port == _DEFAULT_PORTS.get(parts.scheme):
        return f"{host_only}nmos-auth"
    tag = hashlib.sha256(f"{port} {directory}".encode()).hexdigest()[:8]
    return f"{host_only}nmos-auth-{tag}"


def is_own_origin(connection: HTTPConnection, own: str) -> bool:
    """Tell whether a request that changes something comes from a page of this application.

    A page at another port of the same host is another origin, although its requests bring this
    application's cookies. Browsers send the origin of every POST, and a page cannot change that
    (Fetch Metadata, RFC 6454 Section 7). A client that sends neither header is not a browser.

    Args:
        connection: the request.
        own: a URL of this application.
    """
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return True
    if origin == "null":
        # A page with `Referrer-Policy: no-referrer` sends this origin.
        return site == "same-origin"
    return _origin(origin) in {_origin(own), _origin(str(connection.url))} - {None}


def _origin(url: str) -> Origin | None:
    try:
        return Origin.of(url)
    except ValueError:
        return None


class CallbackRoute(Route):
    """The route of the redirect URI, at any place where the application is mounted.

    It compares the whole path as the browser sees it, since a redirect URI is registered with that.

    Args:
        redirect_uri: the redirect URI, with or without the placeholder for the server.
        endpoint: answers GET.
        prefix: see `root_of`.
        name: the name of the route.
    """

    def __init__(
        self,
        redirect_uri: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        *,
        prefix: str,
        name: str,
    ) -> None:
        path = urlsplit(redirect_uri).path or "/"
        super().__init__(
            path.replace(SERVER_PLACEHOLDER, "{server}"), endpoint, methods=["GET"], name=name
        )
        # HEAD, which link checkers send, is not the answer to a login.
        self.methods = {"GET"}
        self._prefix = prefix
        pattern = re.escape(path).replace(re.escape(SERVER_PLACEHOLDER), _SERVER_TAG)
        self._whole = re.compile(pattern)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for this route."""
        if scope["type"] != "http" or not self._whole.fullmatch(whole_path(scope, self._prefix)):
            return Match.NONE, {}
        match = Match.FULL if scope["method"] == "GET" else Match.PARTIAL
        return match, {"endpoint": self.endpoint, "path_params": dict(scope.get("path_params", {}))}

"""Whose tokens are valid, and that no token makes the server ask a stranger."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from tests.contract.rows import INVALID_TOKEN, Answer, Row, TableMint, parametrized
from tests.contract.scene import Scene
from tests.support.authority import FakeAuthorizationServer

TRUST = "design: an issuer not trusted, 401"


def _issuer(name: str, iss: Callable[[TableMint], str], *answers: Answer) -> Row:
    """Return a row with an issuer nobody trusts, in a token signed with a good key."""
    return Row(
        f"iss-{name}",
        TRUST,
        answers or (INVALID_TOKEN,),
        token=lambda mint: mint.token(iss=iss(mint)),
    )


ROWS = [
    _issuer("another-host", lambda mint: f"https://127.0.0.1:{mint.listener}"),
    _issuer("another-host-http", lambda mint: f"http://127.0.0.1:{mint.listener}"),
    _issuer("same-host-http", lambda mint: f"http://localhost:{mint.listener}"),
    _issuer("same-host-ftp", lambda mint: f"ftp://localhost:{mint.listener}"),
    _issuer("host-in-userinfo", lambda mint: f"https://localhost@127.0.0.1:{mint.listener}"),
    _issuer("userinfo", lambda mint: f"https://user:pass@localhost:{mint.listener}"),
    _issuer("longer-host", lambda mint: f"https://localhost.example:{mint.listener}"),
    _issuer("host-in-path", lambda mint: f"https://127.0.0.1:{mint.listener}/localhost"),
    _issuer("host-in-fragment", lambda mint: f"https://127.0.0.1:{mint.listener}#localhost"),
    _issuer("backslash", lambda mint: f"https://127.0.0.1:{mint.listener}\\@localhost"),
    _issuer("query", lambda mint: f"https://localhost:{mint.listener}?a=1"),
    _issuer("fragment", lambda mint: f"https://localhost:{mint.listener}#a"),
    _issuer("space", lambda mint: f" https://localhost:{mint.listener}"),
    _issuer("newline", lambda mint: f"https://localhost:{mint.listener}\r\nX: y"),
    _issuer("no-scheme", lambda mint: f"localhost:{mint.listener}"),
    _issuer("scheme-relative", lambda mint: f"//localhost:{mint.listener}"),
    _issuer("port-too-large", lambda _: "https://localhost:99999"),
    _issuer("port-of-letters", lambda _: "https://localhost:port"),
    _issuer("no-host", lambda _: "https://"),
    _issuer("empty", lambda _: ""),
    _issuer("file", lambda _: "file:///etc/passwd"),
    _issuer("bad-address", lambda _: "https://[::1"),
    _issuer("metadata-address", lambda _: "https://169.254.169.254/latest"),
]


@parametrized(ROWS)
def test_issuers(scene: Scene, row: Row) -> None:
    """A token of an issuer nobody trusts is refused, even where a trusted key signed it."""
    scene.check(row)


def test_untrusted_issuers_are_asked_nothing(
    scene: Scene, issuer: FakeAuthorizationServer, listener: socket.socket
) -> None:
    """No token makes the server connect to a host that is not trusted, or ask the trusted one."""
    asked = len(issuer.requests)
    for row in ROWS:
        scene.check(row)
    assert select.select([listener], [], [], 0.3)[0] == []
    assert len(issuer.requests) == asked

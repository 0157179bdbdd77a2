"""Whom a Node does not know: their tokens are refused, and they are asked nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from nmos_auth import Settings
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import Node, assert_untouched, protected
from tests.support.tls import TestAuthority
from tests.support.tokens import claims_of, signing_key


@pytest.mark.parametrize(
    "issuer",
    [
        "https://127.0.0.1:{port}",
        "https://localhost.:{port}",
        "https://localhost@127.0.0.1:{port}",
        "https://127.0.0.1:{port}#localhost",
        "https://127.0.0.1:{port}/localhost",
        "https://127.0.0.1:{port}\\@localhost",
        "https://localhost.localdomain:{port}",
        "https://[::ffff:127.0.0.1]:{port}",
        "https://2130706433:{port}",
        "http://localhost:{port}",
        "HTTP://localhost:{port}",
        "ftp://localhost:{port}",
        "//localhost:{port}",
        "localhost:{port}",
        "https://localhost:{port}?x",
        "https://localhost:{port}/a b",
        "https://localhost:{port}/\n",
        " https://localhost:{port}",
        "https://user:secret@localhost:{port}",
        "https://localhost:{port}:1",
        "https://localhost:99999",
        "https://lоcalhost:{port}",  # noqa: RUF001 - a Cyrillic letter
        "https://",
        "x",
    ],
)
@pytest.mark.parametrize("allow_http", [False, True])
def test_strangers_are_asked_nothing(
    issuer: str,
    *,
    allow_http: bool,
    strict_node: dict[bool, Node],
    listener: socket.socket,
) -> None:
    """Whatever a token's `iss` says: 401 at once, and no connection to anywhere."""
    named = issuer.format(port=listener.getsockname()[1])
    token = signing_key(9).sign(claims_of(named))
    node = strict_node[allow_http]
    assert [node.status(token) for _ in range(2)] == [401, 401]
    assert_untouched(listener)


@pytest.fixture(scope="module")
def strict_node(tls: TestAuthority) -> Iterator[dict[bool, Node]]:
    """Run two Nodes that trust a server on localhost, the second in development."""
    server = FakeAuthorizationServer([signing_key(0)])

    def settings(*, allow_http: bool) -> Settings:
        return Settings(
            audience="node1.example.com",
            servers=server.issuer,
            ca_file=tls.ca_file,
            audit_log="logging",
            allow_http=allow_http,
        )

    with (
        server.running(tls),
        protected(settings(allow_http=False)) as node,
        protected(settings(allow_http=True)) as development_node,
    ):
        for each in (node, development_node):
            each.until(server.token)
        yield {False: node, True: development_node}


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
def test_keys_that_a_token_brings_itself_do_not_count(
    name: str, strict_node: dict[bool, Node], listener: socket.socket
) -> None:
    """RFC 8725 Section 3.10: a key or URL in the header is ignored, and asked nothing."""
    url = f"https://localhost:{listener.getsockname()[1]}/jwks"
    value = {"jku": url, "x5u": url, "jwk": signing_key(9).jwk(), "x5c": ["MIIB"]}[name]
    issuer = f"https://127.0.0.1:{listener.getsockname()[1]}"
    token = signing_key(9).sign(claims_of(issuer), {name: value})
    assert strict_node[False].status(token) == 401
    assert_untouched(listener)

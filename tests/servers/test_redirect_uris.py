"""Redirect URIs: one meaning to everybody, and a port that may differ on loopback only."""

from __future__ import annotations

import pytest

from nmos_auth.servers.redirect_uris import RedirectUri, is_loopback


@pytest.mark.parametrize(
    ("uri", "loopback", "portless"),
    [
        ("https://app.example.com/callback?x=y", False, None),
        ("https://127.0.0.1:8443/callback", False, None),
        ("http://127.0.0.1/callback", True, "http://127.0.0.1/callback"),
        ("http://127.0.0.1:8400/callback", True, "http://127.0.0.1/callback"),
        ("http://[::1]:8400/callback", True, "http://[::1]/callback"),
        # RFC 8252 Section 7.3 has it for addresses; a name may mean another one tomorrow.
        ("http://localhost:8400/callback", True, None),
        ("http://app.example.com/callback", False, None),
        ("com.example.app:/callback", False, None),
    ],
)
def test_kinds(uri: str, *, loopback: bool, portless: str | None) -> None:
    """RFC 8252 Section 7: claimed https, loopback, and schemes for private use."""
    parsed = RedirectUri.parse(uri)
    assert (parsed.is_loopback, parsed.without_loopback_port) == (loopback, portless)


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "",
        "/callback",
        "callback",
        "javascript:alert(1)",
        "myapp:/callback",
        "https:///callback",
        "https://",
        "https://app.example.com/callback#top",
        "https://user@app.example.com/callback",
        "https://app.example.com:/callback",
        "https://app.example.com:0/callback",
        "https://app.example.com:99999/callback",
        "https://*.example.com/callback",
        "https://app.example.com\\@evil.org/callback",
        "https://app.example.com/call back",
        "https://app.example.com/callback\r\n",
        "https://ä.example.com/callback",
        "https://app.example.com/" + "x" * 2000,
    ],
)
def test_what_is_refused(uri: object) -> None:
    """Incomplete, with a fragment, credentials or a pattern, or read by others in another way."""
    with pytest.raises(ValueError, match=r"it is not|its scheme is"):
        RedirectUri.parse(uri)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "10.0.0.1", "localhost.example.com", "")],  # noqa: S104
)
def test_loopback(host: str, *, loopback: bool) -> None:
    """What never leaves this machine."""
    assert is_loopback(host) is loopback

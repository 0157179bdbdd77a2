"""An Authorization Server that cannot be is refused before it is one."""

from __future__ import annotations

import pytest

from nmos_auth import ConfigurationError
from nmos_auth.authority import AuthoritySettings
from tests.authority.support import CONTROLLER, NODE


@pytest.mark.parametrize(
    "issuer",
    [
        "https://auth.example.com",
        "https://auth.example.com/",
        "https://auth.example.com:8443/x-nmos/auth/v1.0",
        "https://[2001:db8::1]:8443",
    ],
)
def test_an_https_issuer_is_taken_as_it_is(issuer: str) -> None:
    """The identifier is not rewritten: others compare it octet by octet."""
    assert AuthoritySettings(issuer=issuer, clients=(NODE,)).issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "auth.example.com",
        "https://",
        "https://:8443",
        "ftp://auth.example.com",
        "http://auth.example.com",
        "http://127.0.0.1",
        "https://user@auth.example.com",
        "https://auth.example.com?a=b",
        "https://auth.example.com?",
        "https://auth.example.com#",
        "https://auth.example.com:port",
        "https://auth.example.com:99999",
        "https://[::1",
        "https://auth.example.com//",
        "https://auth.example.com/a//b",
        "https://auth.example.com/a/../b",
        "https://auth.example.com/.",
        "https://auth.example.com/{name}",
        "https://auth.example.com/%61",
        "https://auth.example.com/a b",
        "https://auth.example.com\n",
        "https://b\u00fccher.example.com",
    ],
)
def test_other_issuers_are_refused(issuer: str) -> None:
    """RFC 8414 Section 2, and a path that the router can take literally."""
    with pytest.raises(ConfigurationError, match=r"^issuer: "):
        AuthoritySettings(issuer=issuer, clients=(NODE,))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"])
def test_http_is_for_loopback_and_on_request(host: str) -> None:
    """An http issuer needs both, the permission and a host that stays on the machine."""
    issuer = f"http://{host}:8080"
    assert AuthoritySettings(issuer=issuer, clients=(NODE,), allow_http=True).issuer == issuer
    with pytest.raises(ConfigurationError, match="issuer"):
        AuthoritySettings(issuer=issuer, clients=(NODE,))


@pytest.mark.parametrize("host", ["192.0.2.1", "auth.example.com", "localhost.example.com"])
def test_http_is_never_for_other_hosts(host: str) -> None:
    """`allow_http` opens loopback and nothing else."""
    with pytest.raises(ConfigurationError, match="issuer"):
        AuthoritySettings(issuer=f"http://{host}", clients=(NODE,), allow_http=True)


def test_a_lifetime_is_checked_before_anything_is_made() -> None:
    """IS-10 "Access Token Lifetime"."""
    with pytest.raises(ConfigurationError, match="token_lifetime"):
        AuthoritySettings(issuer="https://a.example.com", clients=(NODE,), token_lifetime=3601)


def test_clients_are_needed_and_differ() -> None:
    """Without a client, or with two of one id, there is no server."""
    with pytest.raises(ConfigurationError, match="clients: without"):
        AuthoritySettings(issuer="https://auth.example.com", clients=())
    with pytest.raises(ConfigurationError, match="clients: two"):
        AuthoritySettings(issuer="https://auth.example.com", clients=(NODE, CONTROLLER, NODE))

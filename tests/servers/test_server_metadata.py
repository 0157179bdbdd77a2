"""From an issuer to its keys: RFC 8414 Sections 3.1 and 3.3, and where keys may be."""

from __future__ import annotations

import pytest

from nmos_auth.errors import MetadataError
from nmos_auth.servers.server_metadata import IssuerRules, jwks_uri_of
from nmos_auth.servers.urls import IssuerUrl

ISSUER = "https://auth.example.com"
PLACE = IssuerUrl.parse(ISSUER)
CONFIGURED = IssuerRules()
DEVELOPMENT = IssuerRules(allow_http=True)
NEIGHBOUR = IssuerRules(allow_openid=False, own_host_only=True)


@pytest.mark.parametrize(
    "named",
    [
        None,
        "",
        7,
        [ISSUER],
        f"{ISSUER}/",
        f"{ISSUER}:443",
        "https://AUTH.example.com",
        "HTTPS://auth.example.com",
        "http://auth.example.com",
        "https://evil.example.com",
        f" {ISSUER}",
        f"{ISSUER}/nmos",
    ],
)
def test_metadata_of_another_issuer_must_not_be_used(named: object) -> None:
    """RFC 8414 Section 3.3: "MUST be identical"; no normalisation makes it so."""
    metadata = {"issuer": named, "jwks_uri": f"{ISSUER}/jwks"}
    for rules in (CONFIGURED, DEVELOPMENT, NEIGHBOUR):
        with pytest.raises(MetadataError):
            jwks_uri_of(metadata, PLACE, rules)


def test_metadata_without_an_issuer_must_not_be_used() -> None:
    """RFC 8414 Section 2: `issuer` is required."""
    with pytest.raises(MetadataError):
        jwks_uri_of({"jwks_uri": f"{ISSUER}/jwks"}, PLACE, CONFIGURED)


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "",
        7,
        ["https://auth.example.com/jwks"],
        {"uri": "https://auth.example.com/jwks"},
        "http://auth.example.com/jwks",
        "ftp://auth.example.com/jwks",
        "file:///etc/passwd",
        "/jwks",
        "jwks",
        "//auth.example.com/jwks",
        "https:///jwks",
        "https://",
        "https://auth.example.com:99999/jwks",
        "https://user:secret@auth.example.com/jwks",
        "https://auth.example.com/jwks\r\nhost: evil",
        "https://auth.example.com/ jwks",
        "data:application/json,{}",
        "https://auth.example.com/x/../jwks",
        "https://auth.example.com/./jwks",
    ],
)
def test_keys_are_somewhere_on_https_or_nowhere(uri: object) -> None:
    """RFC 8414 Section 2: `jwks_uri` is a URL of scheme https, and one that is asked as written."""
    for rules in (CONFIGURED, NEIGHBOUR):
        with pytest.raises(MetadataError):
            jwks_uri_of({"issuer": ISSUER, "jwks_uri": uri}, PLACE, rules)


@pytest.mark.parametrize(
    "uri",
    [
        f"{ISSUER}/jwks",
        f"{ISSUER}:8443/keys/jwks.json",
        f"{ISSUER}/jwks?version=1&x=/",
        "https://AUTH.example.com/jwks",
    ],
)
def test_keys_on_the_issuers_own_host(uri: str) -> None:
    """On any port and path, for configured issuers and neighbours alike."""
    for rules in (CONFIGURED, NEIGHBOUR):
        assert jwks_uri_of({"issuer": ISSUER, "jwks_uri": uri}, PLACE, rules) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "https://keys.example.com/jwks",
        "https://auth.example.com.evil.example/jwks",
        "https://auth.example.com./jwks",
        "https://evil.example/auth.example.com/jwks",
    ],
)
def test_only_configured_issuers_may_keep_their_keys_elsewhere(uri: str) -> None:
    """Design, Trust: of a neighbour, "metadata and jwks on that host"."""
    metadata: dict[str, object] = {"issuer": ISSUER, "jwks_uri": uri}
    assert jwks_uri_of(metadata, PLACE, CONFIGURED) == uri
    with pytest.raises(MetadataError):
        jwks_uri_of(metadata, PLACE, NEIGHBOUR)


def test_http_counts_in_development_alone() -> None:
    """Design, Environment: ALLOW_HTTP, "development only: http issuers"."""
    metadata: dict[str, object] = {"issuer": "http://localhost", "jwks_uri": "http://localhost/j"}
    place = IssuerUrl.parse("http://localhost", allow_http=True)
    assert jwks_uri_of(metadata, place, DEVELOPMENT) == "http://localhost/j"
    with pytest.raises(MetadataError):
        jwks_uri_of(metadata, place, CONFIGURED)

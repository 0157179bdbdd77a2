"""Issuer and endpoint URLs: one spelling is checked and fetched, or nothing is."""

from __future__ import annotations

import ssl
import string

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nmos_auth.errors import FetchError
from nmos_auth.servers.http import HttpClient, HttpRequest, require_unchanged
from nmos_auth.servers.urls import LONGEST_URL, EndpointUrl, IssuerUrl, Origin

WELL_KNOWN = "/.well-known/oauth-authorization-server"


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://a.example.com", f"https://a.example.com{WELL_KNOWN}"),
        ("https://a.example.com/", f"https://a.example.com{WELL_KNOWN}"),
        ("https://A.example.com:8443", f"https://A.example.com:8443{WELL_KNOWN}"),
        ("https://example.com/issuer1", f"https://example.com{WELL_KNOWN}/issuer1"),
        ("https://example.com/issuer1/", f"https://example.com{WELL_KNOWN}/issuer1"),
        ("https://[::1]:8443/a/b", f"https://[::1]:8443{WELL_KNOWN}/a/b"),
        ("https://auth_server:443/a.b/..c/...", f"https://auth_server:443{WELL_KNOWN}/a.b/..c/..."),
        ("https://a/x!$&'()*+,=:@-~_.y", f"https://a{WELL_KNOWN}/x!$&'()*+,=:@-~_.y"),
    ],
)
def test_the_well_known_part_goes_between_host_and_path(issuer: str, url: str) -> None:
    """RFC 8414 Section 3.1: "any terminating / MUST be removed" before it is inserted."""
    assert IssuerUrl.parse(issuer).metadata_url == url


NOT_ISSUERS = [
    # What leads out of /.well-known/ in a client, in a server or in a proxy between them.
    "https://a.example.com/../../users/mallory/evil.json",
    "https://a.example.com/x/../../../evil",
    "https://a.example.com/./x",
    "https://a.example.com/x/.",
    "https://a.example.com/x/..",
    "https://a.example.com/..",
    "https://a.example.com/../",
    "https://a.example.com/%2e%2e/evil",
    "https://a.example.com/%2E./evil",
    "https://a.example.com/%252e%252e/evil",
    "https://a.example.com/..;/evil",
    "https://a.example.com/..;x=y/evil",
    "https://a.example.com/x;y",
    "https://a.example.com/..%2fevil",
    "https://a.example.com/..\\evil",
    "https://a.example.com/..%5cevil",
    "https://a.example.com//evil",
    "https://a.example.com/x//y",
    "https://a.example.com/x//",
    "https://a.example.com//",
    "https://a.example.com/\uff0e\uff0e/evil",
    "https://a.example.com/x?y",
    "https://a.example.com/x#y",
    "https://a.example.com?",
    "https://a.example.com#",
    "https://a.example.com/x y",
    "https://a.example.com/x\n",
    "https://a.example.com\n",
    "https://a.example.com/\t",
    # What is not a host and a port.
    "https://user@a.example.com",
    "https://user:secret@a.example.com/x",
    "https://a.example.com:",
    "https://a.example.com:0",
    "https://a.example.com:0443",
    "https://a.example.com:65536",
    "https://a.example.com:443x",
    "https://a..example.com",
    "https://.example.com",
    "https://" + "a" * 64 + ".example.com",
    "https://ä.example.com",
    "https://a%2eexample.com",
    "https://[::1",
    "https://[::g]",
    "https://[::1%25eth0]",
    "https://[1.2.3.4]",
    "https://",
    "https:///x",
    # Other schemes, and no URL at all.
    "HTTPS://a.example.com",
    "http://a.example.com",
    "ftp://a.example.com",
    "https:a.example.com",
    "//a.example.com",
    "a.example.com",
    "",
    "https://a.example.com/" + "x" * LONGEST_URL,
    None,
    7,
    ["https://a.example.com"],
]


@pytest.mark.parametrize("text", NOT_ISSUERS)
def test_whatever_could_be_read_in_two_ways_is_not_an_issuer(text: object) -> None:
    """RFC 8414 Section 3: its place under /.well-known/ is what makes metadata trustworthy."""
    with pytest.raises(ValueError, match="it"):
        IssuerUrl.parse(text)


def test_http_is_for_development() -> None:
    """RFC 8414 Section 2: an issuer is a URL "that uses the "https" scheme"."""
    assert IssuerUrl.parse("http://localhost:8080", allow_http=True).scheme == "http"
    with pytest.raises(ValueError, match="https"):
        IssuerUrl.parse("http://localhost:8080")


ALIKE = st.text("/.%;:@?#ea2\\0Ā " + string.ascii_letters[:4], max_size=24)
AUTHORITIES = st.sampled_from(["auth.example.com", "AUTH.example.com:8443", "[::1]:443", "a_b"])


@example("https://auth.example.com/../../evil")
@example("https://auth.example.com/%2e%2e/evil")
@example("https://AUTH.example.com:443/x/")
@given(
    st.text(max_size=40)
    | ALIKE.map("https://".__add__)
    | st.builds("https://{}/{}".format, AUTHORITIES, ALIKE)
)
def test_what_is_asked_is_what_the_rule_names_or_nothing(text: str) -> None:
    """Any text, from a token even: refused, or the request line is that of RFC 8414 Section 3.1."""
    try:
        issuer = IssuerUrl.parse(text)
    except ValueError:
        return
    require_unchanged(issuer.metadata_url)
    asked = httpx.Request("GET", issuer.metadata_url).url
    authority, slash, path = text.removeprefix("https://").partition("/")
    assert asked.raw_path.decode() == f"{WELL_KNOWN}{slash}{path}".removesuffix("/")
    assert asked.scheme == "https"
    assert httpx.URL(f"https://{authority}").netloc == asked.netloc
    assert not asked.userinfo
    assert issuer.has_metadata_at(issuer.metadata_url)


@given(st.text(max_size=40) | ALIKE.map("https://a/".__add__))
def test_no_text_makes_the_check_of_endpoints_raise(text: str) -> None:
    """Any text is an endpoint URL or a ValueError; what httpx would change is not fetched."""
    try:
        endpoint = EndpointUrl.parse(text)
        require_unchanged(endpoint.text)
    except (ValueError, FetchError):
        return
    asked = httpx.Request("GET", text).url
    assert asked.raw_path.decode() == ("/" + text.removeprefix("https://").partition("/")[2])


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1/a/../b",
        "https://127.0.0.1:1/./b",
        "https://127.0.0.1:1/a b",
        "https://127.0.0.1:1/ä",
        "https://127.0.0.1:1/a#b",
        "https://user@127.0.0.1:1/a",
        "https://127.0.0.1:0/a",
        "ftp://127.0.0.1/a",
        "https://127.0.0.1:1/a\nb",
    ],
)
async def test_the_client_fetches_nothing_that_it_would_change(url: str) -> None:
    """Whoever the caller is: a URL that httpx would rewrite is refused without a connection."""
    client = HttpClient(ssl.create_default_context())
    try:
        with pytest.raises(FetchError, match="cannot be fetched"):
            await client.get_json(url)
        with pytest.raises(FetchError, match="cannot be fetched"):
            await client.send(HttpRequest("POST", url, content=b"grant_type=client_credentials"))
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example.com", "https://a.example.com:8443", True),
        ("https://a.example.com/", "https://A.example.com:8443", True),
        ("https://a.example.com/nmos", "https://a.example.com:8443/nmos/", True),
        ("https://a.example.com", "https://a.example.com/other", False),
        ("https://a.example.com/nmos", "https://a.example.com/NMOS", False),
        ("https://a.example.com/nmos", "https://a.example.com/nmos/x", False),
        ("https://a.example.com", "https://b.example.com", False),
        ("https://a.example.com", "https://a.example.com.", False),
    ],
)
def test_neighbours_differ_in_the_port_only(one: str, other: str, *, same: bool) -> None:
    """Another path is another tenant of the same server."""
    assert (IssuerUrl.parse(one).neighbourhood == IssuerUrl.parse(other).neighbourhood) is same


def test_issuers_are_compared_by_their_text() -> None:
    """RFC 8414 Section 3.3: "identical"; no two spellings are one issuer."""
    assert IssuerUrl.parse("https://a") == IssuerUrl.parse("https://a")
    assert IssuerUrl.parse("https://a") != IssuerUrl.parse("https://a/")
    assert IssuerUrl.parse("https://a") != IssuerUrl.parse("https://a:443")
    assert str(IssuerUrl.parse("https://A:443/")) == "https://A:443/"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://node.example.com", "https://node.example.com"),
        ("https://NODE.example.com:443/x?y#z", "https://node.example.com"),
        ("wss://node.example.com:8443/ws", "https://node.example.com:8443"),
        ("http://[::1]:80/", "http://[::1]"),
        ("ws://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_origins_of_urls(url: str, origin: str) -> None:
    """Scheme, host and port (RFC 6454 Section 4); a WebSocket has that of its handshake."""
    assert str(Origin.of(url)) == origin
    assert Origin.of(url) == Origin.parse(origin) == Origin.parse(origin + "/")


@pytest.mark.parametrize(
    "text",
    [
        "https://node.example.com/x",
        "https://node.example.com?",
        "https://node.example.com:0",
        "wss://node.example.com",
        "https://user@node.example.com",
        "node.example.com",
        "",
        None,
    ],
)
def test_what_is_not_an_origin(text: object) -> None:
    """Nothing is left over, and no port is read as another."""
    with pytest.raises(ValueError, match="it is not"):
        Origin.parse(text)

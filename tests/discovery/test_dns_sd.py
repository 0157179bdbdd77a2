"""What SRV and TXT records of an Authorization Server mean: IS-10 "Discovery", RFC 6763."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmos_auth.discovery.dns_sd import (
    Advertisement,
    AdvertisementError,
    Preference,
    advertisement_of,
    parse_txt,
    split_txt,
)
from nmos_auth.servers.urls import IssuerUrl, split_url

GOOD = (b"api_ver=v1.0", b"api_proto=https", b"pri=0")
SERVER = Advertisement("auth", "example.com", "auth.example.com", 443, "https", 0, ("v1.0",))


def advertised(
    *strings: bytes, target: str = "auth.example.com.", port: int = 443
) -> Advertisement:
    """Read an advertisement with these TXT strings."""
    return advertisement_of(b"auth", "example.com.", target, port, strings)


# TXT records


@pytest.mark.parametrize(
    ("strings", "attributes"),
    [
        ((), {}),
        ((b"pri=0",), {"pri": b"0"}),
        ((b"PRI=0", b"Api_Proto=https"), {"pri": b"0", "api_proto": b"https"}),
        ((b"pri=1", b"pri=2"), {"pri": b"1"}),
        ((b"pri=1", b"PRI=2"), {"pri": b"1"}),
        ((b"pri", b"pri=2"), {"pri": b""}),
        ((b"pri=",), {"pri": b""}),
        ((b"a=b=c",), {"a": b"b=c"}),
        ((b"=0", b"="), {}),
        ((b"",), {}),
        ((b"pri= 0",), {"pri": b" 0"}),
        ((b"k\xc3\xa9y=1", b"k\x00y=1", b"k\x7fy=1"), {}),
        ((b"pri=\xff\x00",), {"pri": b"\xff\x00"}),
    ],
)
def test_attributes(strings: tuple[bytes, ...], attributes: dict[str, bytes]) -> None:
    """RFC 6763 Section 6.4: case of keys is ignored, the first of two is valid, one needs a name.

    Keys are printable US-ASCII; values are "opaque binary data" (Section 6.5).
    """
    assert parse_txt(strings) == attributes


@pytest.mark.parametrize(
    ("data", "strings"),
    [
        (b"", ()),
        (b"\0", (b"",)),
        (b"\x05pri=0", (b"pri=0",)),
        (b"\x05pri=0\x01a", (b"pri=0", b"a")),
        (b"\xff" + b"x" * 255, (b"x" * 255,)),
    ],
)
def test_txt_data_is_a_row_of_strings(data: bytes, strings: tuple[bytes, ...]) -> None:
    """RFC 6763 Section 6.1: each string begins with its length."""
    assert split_txt(data) == strings


@pytest.mark.parametrize("data", [b"\x01", b"\x06pri=0", b"\x05pri=0\x09", b"pri=0"])
def test_txt_data_that_is_cut_off(data: bytes) -> None:
    """A string longer than the record makes the record unusable."""
    with pytest.raises(AdvertisementError):
        split_txt(data)


# Advertisements


def test_a_good_advertisement() -> None:
    """Host and port are the SRV record's, all else is the TXT record's."""
    assert advertised(*GOOD) == SERVER


@pytest.mark.parametrize(
    ("strings", "expected"),
    [
        ((b"api_proto=http", b"pri=0"), replace(SERVER, api_proto="http", api_ver=())),
        ((b"api_proto=https", b"pri=99"), replace(SERVER, pri=99, api_ver=())),
        ((b"api_proto=https", b"pri=100"), replace(SERVER, pri=100, api_ver=())),
        ((b"api_proto=https", b"pri=007"), replace(SERVER, pri=7, api_ver=())),
        ((*GOOD, b"api_ver=v2.0"), SERVER),
        ((b"api_ver=v1.0,v1.1,v2.0", *GOOD), replace(SERVER, api_ver=("v1.0", "v1.1", "v2.0"))),
        ((b"api_ver=", *GOOD), replace(SERVER, api_ver=())),
        ((*GOOD, b"api_selector="), SERVER),
        ((*GOOD, b"api_selector"), SERVER),
        (
            (*GOOD, b"api_selector=x-nmos/auth/v1.0"),
            replace(SERVER, api_selector="x-nmos/auth/v1.0"),
        ),
        ((*GOOD, b"api_selector=/x-nmos/auth/"), replace(SERVER, api_selector="x-nmos/auth")),
        ((*GOOD, b"api_selector=/"), SERVER),
        ((*GOOD, b"extra=1", b"flag"), SERVER),
        ((*GOOD, b"api_auth=true"), replace(SERVER, api_auth=True)),
        ((*GOOD, b"api_auth=false"), replace(SERVER, api_auth=False)),
        ((*GOOD, b"api_auth=TRUE"), SERVER),
        ((*GOOD, b"api_auth"), SERVER),
    ],
)
def test_good_txt_records(strings: tuple[bytes, ...], expected: Advertisement) -> None:
    """IS-10 "Discovery", DNS-SD TXT Records, and IS-04's api_auth; what is unnamed is ignored."""
    assert advertised(*strings) == expected


@pytest.mark.parametrize(
    "strings",
    [
        (),
        (b"",),
        (b"api_proto=https",),
        (b"pri=0",),
        (b"api_proto=https", b"pri"),
        (b"api_proto=https", b"pri="),
        (b"api_proto=https", b"pri=-1"),
        (b"api_proto=https", b"pri=+1"),
        (b"api_proto=https", b"pri= 1"),
        (b"api_proto=https", b"pri=1.0"),
        (b"api_proto=https", b"pri=0x1"),
        (b"api_proto=https", b"pri=1_0"),
        (b"api_proto=https", b"pri=high"),
        (b"api_proto=https", b"pri=1\n"),
        (b"api_proto=https", "pri=\N{ARABIC-INDIC DIGIT ONE}".encode()),
        (b"api_proto=https", b"pri=" + b"9" * 100),
        (b"api_proto=https", b"pri=bad", b"pri=0"),
        (b"api_proto", b"pri=0"),
        (b"api_proto=HTTPS", b"pri=0"),
        (b"api_proto=https ", b"pri=0"),
        (b"api_proto=ftp", b"pri=0"),
        (b"api_proto=https\xff", b"pri=0"),
        (*GOOD, b"api_selector=../x"),
        (*GOOD, b"api_selector=a/./b"),
        (*GOOD, b"api_selector=a//b"),
        (*GOOD, b"api_selector=//evil.example.com"),
        (*GOOD, b"api_selector=a?b"),
        (*GOOD, b"api_selector=a#b"),
        (*GOOD, b"api_selector=a b"),
        (*GOOD, b"api_selector=a\r\nb"),
        (*GOOD, b"api_selector=a\\b"),
        (*GOOD, b"api_selector=%zz"),
        (*GOOD, b"api_selector=a%20b"),
        (*GOOD, b"api_selector=%2e%2e/x"),
        (*GOOD, b"api_selector=..;/x"),
        (*GOOD, "api_selector=é".encode()),
        (b"api_ver=v1.0\x00", b"api_proto=https", b"pri=0"),
    ],
)
def test_bad_txt_records(strings: tuple[bytes, ...]) -> None:
    """Missing or malformed: the advertisement does not count, and nothing is guessed."""
    with pytest.raises(AdvertisementError):
        advertised(*strings)


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("auth.example.com.", "auth.example.com"),
        ("auth.example.com", "auth.example.com"),
        ("AUTH.Example.COM.", "auth.example.com"),
        ("nmos-mocks.local.", "nmos-mocks.local"),
        ("localhost.", "localhost"),
        ("xn--bcher-kva.example.", "xn--bcher-kva.example"),
        ("a_b.example.com.", "a_b.example.com"),
    ],
)
def test_targets(target: str, host: str) -> None:
    """The SRV record's target is the host, as URLs and certificates write it."""
    assert advertised(*GOOD, target=target).host == host


@pytest.mark.parametrize(
    "target",
    [
        ".",
        "",
        "a..b.",
        "auth.example.com/x.",
        "user@auth.example.com.",
        "auth.example.com:80.",
        "auth\\032server.example.com.",
        "auth server.example.com.",
        "bücher.example.",
        "-a.example.com.",
        "a-.example.com.",
        "a" * 64 + ".example.com.",
        ".".join(["a" * 60] * 5),
        "auth\n.example.com.",
        "[::1].",
    ],
)
def test_targets_that_are_no_hosts(target: str) -> None:
    """RFC 2782: "." is "decidedly not available"; others cannot stand in a URL."""
    with pytest.raises(AdvertisementError):
        advertised(*GOOD, target=target)


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_ports_that_are_none(port: int) -> None:
    """Nothing listens there."""
    with pytest.raises(AdvertisementError):
        advertised(*GOOD, port=port)


def test_names_are_made_printable() -> None:
    """A name is any UTF-8 up to 63 octets (RFC 6763 Section 4.1.1), and goes to logs."""
    shown = advertisement_of(b"R\xc3\xa9gie\r\n\x1b[2J\xff", "local.", "a.local.", 1, GOOD)
    assert shown.instance == "Régie" + "\N{REPLACEMENT CHARACTER}" * 3 + "[2J" + (
        "\N{REPLACEMENT CHARACTER}"
    )


def test_only_multicast_dns_has_local() -> None:
    """RFC 6762 Section 3: "local." is multicast DNS's own."""
    assert advertisement_of(b"a", "local.", "a.local.", 1, GOOD).is_multicast
    assert not advertisement_of(b"a", "local.example.com.", "a.local.", 1, GOOD).is_multicast


# Metadata URLs


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (SERVER, "https://auth.example.com/.well-known/oauth-authorization-server"),
        (
            replace(SERVER, port=5010),
            "https://auth.example.com:5010/.well-known/oauth-authorization-server",
        ),
        (
            replace(SERVER, api_proto="http", port=80),
            "http://auth.example.com/.well-known/oauth-authorization-server",
        ),
        (
            replace(SERVER, port=80),
            "https://auth.example.com:80/.well-known/oauth-authorization-server",
        ),
        (
            replace(SERVER, api_selector="x-nmos/auth/v1.0"),
            "https://auth.example.com/.well-known/oauth-authorization-server/x-nmos/auth/v1.0",
        ),
        (
            replace(SERVER, api_ver=("v1.0", "v9.9")),
            "https://auth.example.com/.well-known/oauth-authorization-server",
        ),
    ],
)
def test_metadata_urls(server: Advertisement, url: str) -> None:
    """IS-10: `<api_proto>://<hostname>:<port>/.well-known/oauth-authorization-server[/<api_selector>]`.

    "This TXT record MUST NOT be used to form the URL", it says of api_ver.
    """
    assert server.metadata_url == url


@given(
    st.binary(max_size=63),
    st.text(max_size=40),
    st.integers(-1, 70000),
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from([*GOOD, b"pri=1", b"api_proto=http"]),
            st.binary(max_size=30).map(b"api_selector=".__add__),
            st.text("/.%a?#@:", max_size=12).map(lambda text: f"api_selector={text}".encode()),
        ),
        max_size=6,
    ),
)
def test_whatever_comes_is_refused_or_makes_a_url(
    label: bytes, target: str, port: int, strings: list[bytes]
) -> None:
    """No record raises anything but AdvertisementError, or makes a URL of something else."""
    try:
        found = advertisement_of(label, "example.com.", target, port, strings)
    except AdvertisementError:
        return
    assert split_url(found.metadata_url).host == found.host
    assert IssuerUrl.parse(found.url, allow_http=True).metadata_url == found.metadata_url
    assert found.metadata_url.startswith(f"{found.api_proto}://{found.host}")
    assert found.instance.isprintable()


# Order


def servers(*priorities: int) -> list[Advertisement]:
    """Return servers of these priorities on hosts a, b, c and so on."""
    return [
        replace(SERVER, host=f"{letter}.example.com", pri=pri)
        for letter, pri in zip("abcdefghijkl", priorities, strict=False)
    ]


def test_order_is_by_priority() -> None:
    """Zero is the highest; SRV priority and weight do not come into it."""
    for shuffled in itertools.permutations(servers(0, 1, 50, 99)):
        assert [each.pri for each in Preference().order(shuffled)] == [0, 1, 50, 99]


def test_development_servers_are_passed_over() -> None:
    """IS-10: "Values 100+ are reserved for development work"."""
    a, b, c = servers(100, 99, 1000)
    assert Preference().order([a, b, c]) == (b,)


def test_equals_are_shuffled() -> None:
    """Different clients prefer different ones of equal priority, and so share the load."""
    equals = servers(*[5] * 6)
    orders = {Preference().order(equals) for _ in range(50)}
    assert len(orders) > 10
    assert {order[0] for order in orders} == set(equals)


def test_one_client_keeps_its_order() -> None:
    """What has not changed looks the same, in whatever order DNS gives it, and others around it."""
    preference = Preference()
    equals = servers(*[5] * 8)
    first = preference.order(equals)
    assert all(preference.order(reversed(equals)) == first for _ in range(5))
    rest = preference.order(equals[:4])
    assert rest == tuple(each for each in first if each in equals[:4])


def test_one_advertisement_counts_for_each_url() -> None:
    """Found twice, it is the one with the higher priority, and by unicast DNS if they are equal."""
    low, high = replace(SERVER, pri=9), replace(SERVER, pri=3)
    assert Preference().order([low, high]) == (high,)
    heard = replace(high, domain="local")
    assert Preference().order([heard, high]) == (high,)
    assert Preference().order([heard, low]) == (heard,)

"""Does an `aud` claim name this server? (IS-10 "Behaviour: Access Tokens", aud)."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nmos_auth.rules import audience
from nmos_auth.rules.audience import host_pattern, names_everything, names_server, server_name

LABELS = st.text("ab1-", min_size=1, max_size=4)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.lists(st.text("ab*", min_size=1, max_size=4), min_size=1, max_size=4).map(".".join)

# What IS-10 forbids in an entry, and what makes no host name.
VOID_ENDINGS = [":443", "/", "/x-nmos", "?a=b", "#a", ":", " ", "\n", "\0", "/.", "\\", "é", ","]


def label_matches(pattern: str, label: str) -> bool:
    """Match a label by trying every share of it for each `*`."""
    if not pattern:
        return not label
    if pattern[0] == "*":
        return any(label_matches(pattern[1:], label[n:]) for n in range(len(label) + 1))
    return bool(label) and label[0] == pattern[0] and label_matches(pattern[1:], label[1:])


ADDRESSES = st.ip_addresses().map(str)


def oracle(pattern: str, name: str) -> bool:
    """Decide as the design does: `*` is anything, a first label `*` any depth, else by label."""
    if not pattern.strip("*"):
        return True
    patterns, labels = pattern.split("."), name.split(".")
    if labels[-1].isdecimal():
        return pattern == name
    if any("*" in each for each in patterns[1:]):
        return False
    if patterns[0] == "*" and len(labels) > len(patterns):
        labels = labels[len(labels) - len(patterns) :]
    return len(patterns) == len(labels) and all(map(label_matches, patterns, labels))


@pytest.mark.parametrize(
    ("entry", "name", "expected"),
    [
        # "both URI based `aud` claims which are prefixed by a scheme (such as `https://`) and
        # string based `aud` claims which specify only a domain name"
        ("wss://node1.example.com", "node1.example.com", True),
        # RFC 3986 Section 3.2.2: an IPv6 address, with brackets in a URL
        ("https://[2001:DB8::7]", "2001:db8::7", True),
        ("[2001:db8:0:0::7]", "2001:db8::7", True),
        ("2001:db8::7", "2001:db8::7", True),
        ("2001:db8::8", "2001:db8::7", False),
        ("https://[2001:db8::7]:443", "2001:db8::7", False),
        ("https://[2001:db8::7]/", "2001:db8::7", False),
        ("2001:db8::*", "2001:db8::7", False),
        ("[fe80::7%eth0]", "fe80::7", False),
        ("[2001:db8::7", "2001:db8::", False),
        ("2001:db8::7]", "1:db8::7", False),
        ("*", "2001:db8::7", True),
        # "wild-carding of domain names": an address is not one
        ("fd*", "fd00::7", False),
        ("2*", "2001:db8::7", False),
        ("1*.0.0.1", "127.0.0.1", False),
        ("*.0.0.1", "127.0.0.1", False),
        ("127.0.0.*", "127.0.0.1", False),
        ("1*", "1.0.0.1", False),
        ("https://127.0.0.1", "127.0.0.1", True),
        # Nothing but wildcards is the wildcard for every server.
        ("**", "2001:db8::7", True),
        ("https://***.", "node1.example.com", True),
        ("**.example.com", "a.b.example.com", False),
        # RFC 3986 Section 3.2: an authority may have userinfo; a host name has none
        ("https://evil.example.org@node1.example.com", "node1.example.com", False),
        # A scheme goes once, and only with its slashes.
        ("https://https://node1.example.com", "node1.example.com", False),
        ("https:node1.example.com", "node1.example.com", False),
        ("//node1.example.com", "node1.example.com", False),
        # RFC 4592 Section 2.1.1 and 3.3.1: a leftmost `*` stands for one or more labels
        ("*.example.com", "example.com", False),
        ("*.example.com", "node1.badexample.com", False),
        ("*.example.com", "node1.example.com.example.org", False),
        # IS-10 "Example Access Token Claim Set"; design, decisions: never across a dot
        ("node-*.example.com", "node-.example.com", True),
        ("node-*.example.com", "node.example.com", False),
        ("node-*", "node-1.example.com", False),
        # Design, decisions: `*` is anything
        ("https://*", "node1.example.com", True),
        ("https://", "node1.example.com", False),
        # Not ASCII: the Kelvin sign lowers to k, the ideographic full stop maps to a dot
        ("node1.example\u3002com", "node1.example.com", False),
    ],
)
def test_examples(entry: str, name: str, *, expected: bool) -> None:
    """An entry names the servers that the texts say, and no others: what no wire row holds."""
    assert names_server((entry,), (name,)) is expected


@given(PATTERNS, NAMES)
@example("*.a", "b.b.a")
@example("*.a", "a")
@example("**.a", "b.b.a")
@example("*a.*", "ba.b")
@example("**", "a.b")
@example("*.1", "b.1")
@example("1*", "11")
def test_agrees_with_a_slow_oracle(pattern: str, name: str) -> None:
    """Any pattern names exactly the servers that a matcher trying everything finds."""
    assert names_server((pattern,), (name,)) == oracle(pattern, name)


@given(ADDRESSES, st.data())
def test_an_address_is_named_by_itself_or_by_everything(address: str, data: st.DataObject) -> None:
    """Whatever part of an address wildcards stand for, the entry does not name that server."""
    first = data.draw(st.integers(0, len(address)))
    last = data.draw(st.integers(first, len(address)))
    pattern = f"{address[:first]}*{address[last:]}"
    bracketed = f"[{pattern}]" if ":" in address else pattern
    for entry in (pattern, bracketed, f"https://{bracketed}"):
        everything = pattern == "*" and "[" not in entry
        assert names_server((entry,), (address,)) is everything
    own = f"[{address}]" if ":" in address else address
    assert names_server((own,), (address,))
    assert names_server((f"https://{own}",), (address,))


@given(st.text("*", min_size=1, max_size=5), st.sampled_from(["", "https://"]), NAMES | ADDRESSES)
def test_only_wildcards_are_the_wildcard(stars: str, scheme: str, name: str) -> None:
    """An entry that has nothing but wildcards names every server, and is noticed as doing so."""
    entry = (scheme + stars,)
    assert names_server(entry, (name,))
    assert names_everything(entry)


@given(PATTERNS, st.lists(NAMES | ADDRESSES, max_size=8))
def test_what_names_unlike_servers_is_noticed(pattern: str, names: list[str]) -> None:
    """No entry names both a domain name and an address without the warning."""
    named = [name for name in names if names_server((pattern,), (name,))]
    addresses = [name for name in named if ":" in name or name.rpartition(".")[2].isdecimal()]
    assert len({*addresses}) <= 1 or names_everything((pattern,))
    assert not addresses or len(addresses) == len(named) or names_everything((pattern,))


@given(PATTERNS | NAMES, st.sampled_from(VOID_ENDINGS), st.sampled_from(["", "https://"]))
def test_what_is_forbidden_voids_an_entry(host: str, ending: str, scheme: str) -> None:
    """An entry with a port, a path, a query or junk stands for nothing, whatever else it has."""
    assert host_pattern(scheme + host + ending) is None
    assert not names_server((scheme + host + ending,), (host,))


@given(st.lists(PATTERNS | st.text(max_size=8), max_size=4), st.lists(NAMES, max_size=3))
def test_any_entry_and_any_name_will_do(entries: list[str], names: list[str]) -> None:
    """The audience names the server if one entry stands for one of its names."""
    expected = any(names_server((entry,), (name,)) for entry in entries for name in names)
    assert names_server(tuple(entries), tuple(names)) == expected


@given(st.text(max_size=30), NAMES)
@example("\ud800", "a")
def test_no_entry_raises(entry: str, name: str) -> None:
    """Any string is an entry that stands for something or for nothing."""
    pattern = host_pattern(entry)
    assert pattern is None or pattern == pattern.lower()
    assert pattern is None or "*" not in pattern.partition(".")[2]
    if pattern is None:
        assert not names_server((entry,), (name,))


@given(st.text("*", min_size=1, max_size=40), st.text("ab", min_size=1, max_size=60))
def test_many_wildcards_take_no_time(stars: str, label: str) -> None:
    """A label full of wildcards is decided at once."""
    pattern = stars.replace("*", "*a") + "*c"
    assert not names_server((pattern + ".example.com",), (label + ".example.com",))


@pytest.mark.parametrize("entry", ["*.0.0.1", "https://1*.0.0.1.", "*.1"])
def test_wildcards_in_an_address_void_an_entry(entry: str) -> None:
    """So configurations with one can be refused: it stands for nothing."""
    assert host_pattern(entry) is None


def test_no_entries_name_nobody() -> None:
    """An empty audience is for no server, and a server without a name is nobody's."""
    assert not names_server((), ("node1.example.com",))
    assert not names_server(("node1.example.com",), ())


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        (("*",), True),
        (("https://*",), True),
        (("**",), True),
        (("https://**.",), True),
        (("node1.example.com", "*"), True),
        (("*.example.com",), False),
        (("*:443",), False),
        ((), False),
    ],
)
def test_an_audience_of_everything_is_noticed(audience: tuple[str, ...], *, expected: bool) -> None:
    """`*` stands for every server there is, which is worth a warning (design, decisions)."""
    assert names_everything(audience) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("node1.example.com", "node1.example.com"),
        ("Node1.Example.COM.", "node1.example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("localhost", "localhost"),
        ("*.example.com", None),
        ("*", None),
        ("**", None),
        ("node1.example.com:443", None),
        ("node1.example.com/", None),
        ("", None),
        ("node 1", None),
    ],
)
def test_names_of_this_server(name: str, expected: str | None) -> None:
    """A server is known by host names: no wildcard, no port, no path."""
    assert server_name(name) == expected


@given(st.lists(PATTERNS | st.text("*./:[]a", max_size=6), max_size=5))
@example(["*."])
@example(["https://**"])
@example(["[*]", "*/", "*:1"])
def test_an_audience_names_everything_by_one_entry(entries: list[str]) -> None:
    """It does exactly if an entry, read as a host, is nothing but wildcards."""
    expected = any(host_pattern(entry) == "*" for entry in entries)
    assert names_everything(tuple(entries)) == expected


def test_addresses_that_come_again_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest token has 2,300 times the entry `::`, which would hold a request for 25 ms."""
    read: list[str] = []

    class Noted(IPv6Address):
        def __init__(self, address: str) -> None:
            read.append(address)
            super().__init__(address)

    monkeypatch.setattr(audience, "IPv6Address", Noted)
    entries = ("::",) * 2300
    assert not names_everything.__wrapped__(entries)
    assert not names_server.__wrapped__(entries, ("fd00::1", "node1.example.com"))
    assert read == ["::"]

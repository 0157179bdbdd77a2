"""Whether a token is for this device."""

from __future__ import annotations

from collections.abc import Callable

from nmos_auth.probe.mint import Mint
from nmos_auth.probe.rows import Row, Suite, is_10
from nmos_auth.probe.table.statuses import FORBIDDEN, PERMITTED

__all__ = ["AUDIENCE"]

_MATCH = is_10("Behaviour: Access Tokens, aud", "a token for another server is rejected")
_FORMS = is_10("Behaviour: Access Tokens, aud", "an entry is a domain name, with a scheme or not")
_WILDCARDS = is_10("Behaviour: Access Tokens, aud", "wildcards are those of RFC 4592")
_NO_URLS = is_10("Behaviour: Access Tokens, aud", "an entry has no port, path or query")
_OTHERS = "Tokens for another device open this one."


def _parent(mint: Mint) -> str:
    return mint.audience.partition(".")[2] or mint.audience


def _refused(name: str, title: str, aud: Callable[[Mint], object]) -> Row:
    source = _NO_URLS if name in {"port", "path"} else _MATCH
    return Row(
        f"audience-{name}",
        Suite.AUDIENCE,
        title,
        source,
        FORBIDDEN,
        _OTHERS,
        warns=frozenset({401}),
        token=lambda mint: mint.token(aud=aud(mint)),
    )


def _accepted(name: str, title: str, aud: Callable[[Mint], object], meaning: str) -> Row:
    return Row(
        f"audience-{name}",
        Suite.AUDIENCE,
        title,
        _WILDCARDS if name == "wildcard" else _FORMS,
        PERMITTED,
        meaning,
        token=lambda mint: mint.token(aud=aud(mint)),
    )


AUDIENCE = (
    _accepted(
        "scheme",
        "the device's name with https:// before it",
        lambda mint: [f"https://{mint.audience}"],
        "Tokens of servers that write audiences as URLs are refused.",
    ),
    _accepted(
        "second",
        "the device's name as the second of two",
        lambda mint: ["zz.invalid", mint.audience],
        "Tokens for several devices open only the first of them.",
    ),
    _accepted(
        "between",
        "the device's name as the last of several that sort before it",
        lambda mint: ["a.invalid", "0.invalid", mint.audience],
        "Whether a token is accepted depends on the names of other devices.",
    ),
    _accepted(
        "wildcard",
        "a wildcard in place of the name's first label",
        lambda mint: [f"*.{_parent(mint)}"],
        "Tokens for a group of devices are refused.",
    ),
    _refused("other", "another device's name", lambda _: ["other.invalid"]),
    _refused("empty", "an empty list", lambda _: []),
    _refused("blank", "an empty text", lambda _: [""]),
    _refused("prefix", "the name with letters before it", lambda mint: [f"evil{mint.audience}"]),
    _refused("suffix", "the name below another domain", lambda mint: [f"{mint.audience}.invalid"]),
    _refused("part", "the start of the name", lambda mint: [mint.audience[:-1]]),
    _refused(
        "expression",
        "the name with a letter in place of its dots",
        lambda mint: [mint.audience.replace(".", "x") if "." in mint.audience else "x.invalid"],
    ),
    _refused(
        "other-wildcard", "a wildcard below another domain", lambda _: ["https://*.nmos.invalid"]
    ),
    _refused("port", "the name with a port", lambda mint: [f"https://{mint.audience}:8443"]),
    _refused("path", "the name with a path", lambda mint: [f"https://{mint.audience}/x-nmos"]),
)

"""Whether a token is for this device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nmos_auth.probe.mint import Mint
from nmos_auth.probe.rows import Force, Row, Source, Suite, is_10, rfc
from nmos_auth.probe.sentences import OTHERS
from nmos_auth.probe.table.statuses import FORBIDDEN, PERMITTED

__all__ = ["AUDIENCE"]

_MATCH = is_10("Behaviour: Access Tokens, aud", "a token for another server is rejected")
_LIST = is_10("Behaviour: Access Tokens, aud", "`aud` is a list of the recipients")
_FORMS = is_10(
    "Behaviour: Access Tokens, aud", "an entry is a domain name, with or without a scheme"
)
_WILDCARDS = is_10("Behaviour: Access Tokens, aud", "wildcards are those of RFC 4592", Force.STATED)
_LABEL = rfc(4592, "2.1.1", "a wildcard is the whole first label", Force.STATED)
_NO_URLS = is_10("Behaviour: Access Tokens, aud", "an entry has no port, path or query")


_DOMAIN = frozenset({"domain"})


def _refused(
    name: str,
    title: str,
    aud: Callable[[Mint], object],
    source: Source = _MATCH,
    *,
    uses: frozenset[str] = frozenset(),
) -> Row:
    return Row(
        f"audience-{name}",
        Suite.AUDIENCE,
        title,
        source,
        FORBIDDEN,
        OTHERS,
        # IS-10 names RFC 4592, but its own example has another kind of wildcard.
        warns=frozenset({200, 401}) if source is _LABEL else frozenset({401}),
        token=lambda mint: mint.token(aud=aud(mint)),
        uses=uses,
    )


def _accepted(
    name: str,
    title: str,
    aud: Callable[[Mint], object],
    meaning: str,
    source: Source = _FORMS,
    *,
    uses: frozenset[str] = frozenset(),
) -> Row:
    return Row(
        f"audience-{name}",
        Suite.AUDIENCE,
        title,
        source,
        PERMITTED,
        meaning,
        token=lambda mint: mint.token(aud=aud(mint)),
        uses=uses,
    )


_AS_URLS = "Tokens of servers that write audiences as URLs are refused."
_SEVERAL = "Tokens for several devices open only the first of them."
_GROUPS = "Tokens for a group of devices are refused."

AUDIENCE = (
    *(
        _accepted(
            name,
            f"the device's name with {scheme}:// before it",
            lambda mint, scheme=scheme: [f"{scheme}://{mint.audience}"],  # type: ignore[misc]
            _AS_URLS,
        )
        for name, scheme in (("scheme", "https"), ("scheme-http", "http"))
    ),
    _accepted(
        "second",
        "the device's name as the second of two",
        lambda mint: ["zz.invalid", mint.audience],
        _SEVERAL,
        _LIST,
    ),
    _accepted(
        "between",
        "the device's name as the last of several that sort before it",
        lambda mint: ["a.invalid", "0.invalid", mint.audience],
        "Whether a token is accepted depends on the names of other devices.",
        _LIST,
    ),
    _accepted(
        "wildcard",
        "a wildcard in place of the name's first label",
        lambda mint: [f"*.{mint.places['domain']}"],
        _GROUPS,
        _WILDCARDS,
        uses=_DOMAIN,
    ),
    _accepted(
        "wildcard-scheme",
        "a wildcard in place of the name's first label, with https:// before it",
        lambda mint: [f"https://*.{mint.places['domain']}"],
        _GROUPS,
        _WILDCARDS,
        uses=_DOMAIN,
    ),
    replace(
        _accepted(
            "wildcard-part",
            "a wildcard in place of the last letter of the name's first label",
            lambda mint: [f"{mint.audience.partition('.')[0][:-1]}*.{mint.places['domain']}"],
            _GROUPS,
            is_10(
                "Behaviour: Access Tokens, Example Access Token Claim Set",
                "`node-*` is an audience",
                Force.STATED,
            ),
            uses=_DOMAIN,
        ),
        # RFC 4592 does not have such a wildcard.
        warns=frozenset({401, 403}),
    ),
    _refused("other", "another device's name", lambda _: ["other.invalid"]),
    _refused("empty", "an empty list", lambda _: []),
    _refused("blank", "an empty text", lambda _: [""]),
    _refused("dot", "a full stop", lambda _: ["."]),
    _refused("prefix", "the name with letters before it", lambda mint: [f"evil{mint.audience}"]),
    _refused(
        "suffix", "the name with another domain after it", lambda mint: [f"{mint.audience}.invalid"]
    ),
    _refused("part", "the start of the name", lambda mint: [mint.audience[:-1]]),
    _refused("end", "the end of the name", lambda mint: [mint.audience[1:]]),
    _refused("below", "a name below the device's name", lambda mint: [f"x.{mint.audience}"]),
    _refused("parent", "the name's domain", lambda mint: [mint.places["domain"]], uses=_DOMAIN),
    _refused("joined", "the name and another in one text", lambda m: [f"{m.audience},x.invalid"]),
    _refused("space", "the name with a space after it", lambda mint: [f"{mint.audience} "]),
    _refused("client", "the client's own id", lambda _: ["nmos-auth-probe"]),
    _refused(
        "expression",
        "the name with a letter in place of its dots",
        lambda mint: [mint.audience.replace(".", "x")],
        uses=_DOMAIN,
    ),
    _refused("expression-all", "`.*`", lambda _: [".*"]),
    _refused(
        "other-wildcard", "a wildcard below another domain", lambda _: ["https://*.nmos.invalid"]
    ),
    _refused(
        "wildcard-below", "a wildcard below the device's name", lambda mint: [f"*.{mint.audience}"]
    ),
    _refused(
        "wildcard-no-dot",
        "a wildcard that is only a part of a label",
        lambda mint: [f"*{mint.places['domain']}"],
        _LABEL,
        uses=_DOMAIN,
    ),
    _refused(
        "wildcard-last",
        "a wildcard in place of the name's last label",
        lambda mint: [f"{mint.audience.rpartition('.')[0]}.*"],
        _LABEL,
        uses=_DOMAIN,
    ),
    _refused("port", "the name with a port", lambda m: [f"https://{m.audience}:8443"], _NO_URLS),
    _refused(
        "port-bare",
        "the name with a port, without a scheme",
        lambda m: [f"{m.audience}:8443"],
        _NO_URLS,
    ),
    _refused("path", "the name with a path", lambda m: [f"https://{m.audience}/x-nmos"], _NO_URLS),
    _refused("query", "the name with a query", lambda m: [f"https://{m.audience}?a=1"], _NO_URLS),
    _refused(
        "user",
        "the name as the user name in another URL",
        lambda mint: [f"https://{mint.audience}@other.invalid"],
    ),
)

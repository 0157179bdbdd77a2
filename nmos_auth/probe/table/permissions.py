"""Scopes, access permissions objects and path specifiers."""

from __future__ import annotations

from dataclasses import replace

from nmos_auth.probe.mint import Mint
from nmos_auth.probe.rows import Force, Maker, Row, Source, Suite, is_10, practice, rfc
from nmos_auth.probe.sentences import LESS, MORE, PATHS, PERMISSIONS_OBJECT, READING
from nmos_auth.probe.table.statuses import FORBIDDEN, INVALID, PERMITTED
from nmos_auth.probe.table.tokens import claims, reading

__all__ = ["PERMISSIONS"]

_BASE = is_10(PATHS, "a base path is read with the API's claim, its scope, or both")
_BELOW = is_10(PATHS, "below the version, a claim of the API matches the path")
_QUERY = is_10(PATHS, "query parameters are ignored")
_SPECIFIERS = is_10(
    PERMISSIONS_OBJECT,
    "a specifier is a path, in which `*` stands for any characters",
    Force.STATED,
)
_AFTER = is_10(PERMISSIONS_OBJECT, "a specifier starts after the API version and its slash")
_OBJECT = is_10(
    PERMISSIONS_OBJECT,
    "a claim is a JSON object, and a permission a list of path specifiers",
    Force.STATED,
)
_SCOPES = rfc(6749, "3.3", "scopes are separated by spaces, and case matters", Force.STATED)


def _only(**changes: object) -> Maker:
    return lambda mint: mint.token(**{"scope": None, "x_nmos": None, **changes})


def _granted(claim: object, **changes: object) -> Maker:
    """Make a token that has this claim for the API, and no scope unless one is given."""
    return lambda mint: mint.token(**{"scope": None, "x_nmos": claim, **changes})


def _row(
    name: str,
    title: str,
    token: Maker,
    *,
    permitted: bool,
    source: Source = _SPECIFIERS,
    target: str = "{base}/{path}",
    method: str = "GET",
    every_api: bool = False,
) -> Row:
    return Row(
        f"permissions-{name}",
        Suite.PERMISSIONS,
        title,
        source,
        PERMITTED if permitted else FORBIDDEN,
        LESS if permitted else MORE,
        warns=frozenset() if permitted else INVALID,
        token=token,
        target=target,
        method=method,
        every_api=every_api,
    )


def _cut(mint: Mint) -> str:
    return mint.reading(mint.path[:-1])


def _dotted(mint: Mint) -> str:
    return mint.reading(f".{mint.path[1:]}")


def _class(mint: Mint) -> str:
    return mint.reading(f"[{mint.path[0]}]{mint.path[1:]}")


def _question(mint: Mint) -> str:
    return mint.reading(f"?{mint.path[1:]}", f"{mint.path}x?")


def _capitals(mint: Mint) -> str:
    return mint.reading(mint.path.swapcase())


def _middle(mint: Mint) -> str:
    return mint.reading(f"{mint.path[0]}*{mint.path[-1]}")


def _overlap(mint: Mint) -> str:
    return mint.reading(f"{mint.path}*{mint.path}", f"{mint.path[:3]}*{mint.path[1:]}")


PERMISSIONS = (
    _row(
        "base-scope",
        "the scope, on a base path",
        claims(x_nmos=None),
        permitted=True,
        source=_BASE,
        target="{base}/",
        every_api=True,
    ),
    _row(
        "base-claim",
        "the claim, on a base path",
        _granted({"read": []}),
        permitted=True,
        source=_BASE,
        target="{base}/",
    ),
    _row(
        "base-neither",
        "neither scope nor claim, on a base path",
        _only(),
        permitted=False,
        source=_BASE,
        target="{base}/",
        every_api=True,
    ),
    _row(
        "base-other-scope",
        "another scope, on a base path",
        _only(scope="nonsense"),
        permitted=False,
        source=_BASE,
        target="{base}/",
    ),
    _row(
        "base-longer-scope",
        "scopes that only contain the API's name, on a base path",
        lambda mint: mint.token(scope=f"{mint.api}s x{mint.api}", x_nmos=None),
        permitted=False,
        source=_BASE,
        target="{base}/",
    ),
    *(
        _row(
            f"base-scope-{name}",
            f"the scope {title}, on a base path",
            lambda mint, change=change: mint.token(scope=change(mint.api), x_nmos=None),  # type: ignore[misc]
            permitted=permitted,
            source=_SCOPES,
            target="{base}/",
        )
        for name, title, change, permitted in (
            ("among", "among others", lambda api: f"other {api} more", True),
            ("case", "in capitals", str.upper, False),
            ("short", "without its last letter", lambda api: api[:-1], False),
            ("comma", "before a comma", lambda api: f"{api},other", False),
            ("claim", "as the claim's name", lambda api: f"x-nmos-{api}", False),
            ("wildcard", "`*`", lambda _: "*", False),
            ("blank", "as an empty text", lambda _: "", False),
        )
    ),
    _row(
        "base-write-claim",
        "a claim that may write, on a base path",
        _granted({"write": ["nothing"]}),
        permitted=True,
        source=_BASE,
        target="{base}/",
    ),
    *(
        _row(
            f"base-claim-{name}",
            f"a claim that is {title}, on a base path",
            _granted(claim),
            permitted=False,
            source=_OBJECT,
            target="{base}/",
        )
        for name, title, claim in (
            ("text", "a text", "read"),
            ("true", "true", True),
            ("list", "a list", ["read"]),
        )
    ),
    _row(
        "scope-below",
        "the scope, below the base path",
        claims(x_nmos=None),
        permitted=False,
        source=_BELOW,
        every_api=True,
    ),
    _row(
        "other-api",
        "the claim of another API",
        _only(**{"x-nmos-nonsense": {"read": ["*"], "write": ["*"]}}),
        permitted=False,
        source=_BELOW,
    ),
    _row("exact", "the path itself", reading("{path}"), permitted=True),
    _row("several", "the path as the second of two", reading("{other}", "{path}"), permitted=True),
    _row("another-path", "another path", reading("{other}"), permitted=False),
    _row("none", "no specifier", reading(), permitted=False, source=_BELOW),
    _row("blank", "an empty specifier", reading(""), permitted=False),
    _row("prefix", "the start of the path", _cut, permitted=False),
    _row("below", "a path below the path", reading("{path}/more"), permitted=False),
    _row(
        "slash",
        "the path with a slash before it",
        reading("/{path}"),
        permitted=False,
        source=_AFTER,
    ),
    _row("slash-all", "`/*`", reading("/*"), permitted=False, source=_AFTER),
    _row(
        "version",
        "the path with API and version before it",
        lambda mint: mint.reading(f"{mint.places['base'][1:]}/*", f"{mint.places['base']}/*"),
        permitted=False,
        source=_AFTER,
    ),
    _row(
        "case",
        "the path in the other case",
        _capitals,
        permitted=False,
        source=rfc(3986, "6.2.2.1", "paths are case-sensitive", Force.STATED),
    ),
    _row("space", "the path with a space after it", reading("{path} "), permitted=False),
    _row("joined", "two paths in one text", reading("{path},{other}"), permitted=False),
    _row("everything", "`*`", reading("*"), permitted=True),
    _row("wildcard-end", "the path and `*`", reading("{path}*"), permitted=True),
    _row("wildcard-middle", "the path with `*` in the middle", _middle, permitted=True),
    _row("wildcard-double", "`**`", reading("**"), permitted=True),
    _row("wildcard-nothing", "`*` on both sides of the path", reading("*{path}*"), permitted=True),
    _row("wildcard-overlap", "the path twice, with `*` between", _overlap, permitted=False),
    _row("wildcard-other", "another path and `*`", reading("{other}*"), permitted=False),
    _row("regex-dot", "a full stop in place of a letter", _dotted, permitted=False),
    _row("regex-all", "`.*`", reading(".*"), permitted=False),
    _row("regex-or", "the path in an alternative", reading("nothing|{path}"), permitted=False),
    _row("regex-group", "the path in brackets", reading("({path})"), permitted=False),
    _row("regex-anchors", "the path between `^` and `$`", reading("^{path}$"), permitted=False),
    _row("regex-class", "a letter of the path in square brackets", _class, permitted=False),
    _row("question-mark", "a question mark in place of a letter", _question, permitted=False),
    _row(
        "regex-costly",
        "a regular expression that is very slow to match",
        reading("(a+)+$", "(.*)*(.*)*(.*)*x"),
        permitted=False,
    ),
    _row(
        "query-ignored",
        "the path itself, and a query",
        reading("{path}"),
        permitted=True,
        source=_QUERY,
        target="{base}/{path}?probe=1",
    ),
    _row(
        "query-no-path",
        "a wildcard that matches only the query",
        reading("*probe=1"),
        permitted=False,
        source=_QUERY,
        target="{base}/{path}?probe=1",
    ),
    _row(
        "write-only",
        "write without read",
        _granted({"write": ["*"]}),
        permitted=False,
        source=is_10(
            PERMISSIONS_OBJECT, "a client that may write and read requires `read` as well"
        ),
    ),
    _row(
        "head-write-only",
        "HEAD with write and without read",
        _granted({"write": ["*"]}),
        permitted=False,
        source=READING,
        method="HEAD",
    ),
    *(
        _row(name, f"{title}", _granted(claim), permitted=False, source=_OBJECT)
        for name, title, claim in (
            ("claim-text", "the claim as a text", "*"),
            ("claim-list", "the claim as a list", ["*"]),
            ("claim-true", "the claim as true", True),
            ("claim-json", "the claim as JSON in a text", '{"read": ["*"]}'),
            ("claim-empty", "an empty claim", {}),
            ("read-text", "read as a text", {"read": "*"}),
            ("read-true", "read as true", {"read": True}),
            ("read-capitals", "READ", {"READ": ["*"]}),
            ("get", "get in place of read", {"get": ["*"]}),
        )
    ),
    _row(
        "more-keys",
        "read, and an unknown permission",
        _granted({"read": ["*"], "administer": "yes"}),
        permitted=True,
        source=is_10(PERMISSIONS_OBJECT, "APIs may have further permissions", Force.STATED),
    ),
    replace(
        _row(
            "read-mixed",
            "read as a list of texts with a number among them",
            reading(1, "{path}"),
            permitted=False,
            source=practice("a permission that is partly malformed grants nothing"),
        ),
        warns=frozenset({200, 401}),
    ),
)

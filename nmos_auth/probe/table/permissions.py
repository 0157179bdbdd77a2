"""Scopes, access permissions objects and path specifiers."""

from __future__ import annotations

from nmos_auth.probe.mint import Mint
from nmos_auth.probe.rows import Maker, Row, Source, Suite, is_10
from nmos_auth.probe.table.statuses import FORBIDDEN, PERMITTED

__all__ = ["PERMISSIONS"]

_PATHS = "Behaviour: Resource Servers, Path Validation"
_BASE = is_10(_PATHS, "a base path is read with the API's claim, its scope, or both")
_BELOW = is_10(_PATHS, "below the version, a claim of the API matches the path")
_QUERY = is_10(_PATHS, "query parameters are ignored")
_SPECIFIERS = is_10(
    "Behaviour: Access Tokens, The Access Permissions Object",
    "a specifier is matched whole; `*` stands for any characters, and nothing else is special",
)
_OBJECT = is_10(
    "Behaviour: Access Tokens, The Access Permissions Object",
    "a permission is a list of path specifiers in a JSON object",
)
_MORE = "Clients can do more than the operator granted."
_LESS = "Clients cannot do what the operator granted."


def _only(**changes: object) -> Maker:
    return lambda mint: mint.token(**{"scope": None, "x_nmos": None, **changes})


def _read(*specifiers: object) -> Maker:
    """Make a token of these specifiers, in which {path} and {other} stand for the device's."""

    def make(mint: Mint) -> str:
        filled = [
            each.replace("{path}", mint.path).replace("{other}", mint.other)
            if isinstance(each, str)
            else each
            for each in specifiers
        ]
        return mint.token(scope=None, x_nmos={"read": filled})

    return make


def _row(
    name: str,
    title: str,
    token: Maker,
    *,
    permitted: bool,
    source: Source = _SPECIFIERS,
    target: str = "{base}/{path}",
    every_api: bool = False,
    warns: frozenset[int] | None = None,
) -> Row:
    if warns is None:
        warns = frozenset() if permitted else frozenset({401})
    return Row(
        f"permissions-{name}",
        Suite.PERMISSIONS,
        title,
        source,
        PERMITTED if permitted else FORBIDDEN,
        _LESS if permitted else _MORE,
        warns=warns,
        token=token,
        target=target,
        every_api=every_api,
    )


def _cut(mint: Mint) -> str:
    return mint.token(scope=None, x_nmos={"read": [mint.path[:-1]]})


def _dotted(mint: Mint) -> str:
    return mint.token(scope=None, x_nmos={"read": [f".{mint.path[1:]}"]})


def _capitals(mint: Mint) -> str:
    return mint.token(scope=None, x_nmos={"read": [mint.path.swapcase()]})


def _middle(mint: Mint) -> str:
    return mint.token(scope=None, x_nmos={"read": [f"{mint.path[0]}*{mint.path[-1]}"]})


PERMISSIONS = (
    _row(
        "base-scope",
        "the scope, on a base path",
        lambda mint: mint.token(x_nmos=None),
        permitted=True,
        source=_BASE,
        target="{base}/",
        every_api=True,
    ),
    _row(
        "base-claim",
        "the claim, on a base path",
        lambda mint: mint.token(scope=None, x_nmos={"read": []}),
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
        "a scope that begins as the API's name, on a base path",
        lambda mint: mint.token(scope=f"{mint.api}s x{mint.api}", x_nmos=None),
        permitted=False,
        source=_BASE,
        target="{base}/",
    ),
    _row(
        "scope-below",
        "the scope, below the base path",
        lambda mint: mint.token(x_nmos=None),
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
    _row("exact", "the very path", _read("{path}"), permitted=True),
    _row("several", "the path as the second of two", _read("{other}", "{path}"), permitted=True),
    _row("another-path", "another path", _read("{other}"), permitted=False),
    _row("prefix", "the start of the path", _cut, permitted=False),
    _row("below", "a path below the path", _read("{path}/more"), permitted=False),
    _row("slash", "the path with a slash before it", _read("/{path}"), permitted=False),
    _row(
        "version",
        "the path with API and version before it",
        lambda mint: mint.token(scope=None, x_nmos={"read": [f"x-nmos/{mint.api}/*/x"]}),
        permitted=False,
    ),
    _row("case", "the path in other letters", _capitals, permitted=False),
    _row("everything", "`*`", _read("*"), permitted=True),
    _row("wildcard-end", "the path and `*`", _read("{path}*"), permitted=True),
    _row("wildcard-middle", "the path with `*` in the middle", _middle, permitted=True),
    _row("wildcard-double", "`**`", _read("**"), permitted=True),
    _row("wildcard-other", "another path and `*`", _read("{other}*"), permitted=False),
    _row("regex-dot", "a full stop in place of a letter", _dotted, permitted=False),
    _row("regex-all", "`.*`", _read(".*"), permitted=False),
    _row("regex-or", "the path in an alternative", _read("nothing|{path}"), permitted=False),
    _row("regex-group", "the path in brackets", _read("({path})"), permitted=False),
    _row(
        "regex-costly",
        "a regular expression that takes for ever",
        _read("(a+)+$", "(.*)*(.*)*(.*)*x"),
        permitted=False,
    ),
    _row(
        "query-ignored",
        "the very path, and a query",
        _read("{path}"),
        permitted=True,
        source=_QUERY,
        target="{base}/{path}?probe=1",
    ),
    _row(
        "query-no-path",
        "a wildcard that only the query fits",
        _read("*probe=1"),
        permitted=False,
        source=_QUERY,
        target="{base}/{path}?probe=1",
    ),
    _row(
        "write-only",
        "write, and no read",
        lambda mint: mint.token(scope=None, x_nmos={"write": ["*"]}),
        permitted=False,
        source=is_10(
            "Behaviour: Access Tokens, The Access Permissions Object",
            "write does not include read",
        ),
    ),
    _row(
        "claim-text",
        "the claim as a text",
        _only(x_nmos="*"),
        permitted=False,
        source=_OBJECT,
    ),
    _row(
        "read-text",
        "read as a text",
        lambda mint: mint.token(scope=None, x_nmos={"read": "*"}),
        permitted=False,
        source=_OBJECT,
    ),
    _row(
        "read-mixed",
        "read as a list that is not of texts throughout",
        _read(1, "{path}"),
        permitted=False,
        source=_OBJECT,
    ),
)

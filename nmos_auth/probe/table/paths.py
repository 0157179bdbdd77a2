"""One path, however it is written: what is checked is what is served."""

from __future__ import annotations

from nmos_auth.probe.mint import Mint
from nmos_auth.probe.rows import Row, Source, Suite, is_10, practice, rfc
from nmos_auth.probe.table.statuses import CLOSED, PERMITTED

__all__ = ["PATHS"]

_NORMAL = is_10(
    "Behaviour: Access Tokens, The Access Permissions Object",
    "URLs are normalised, so that `..` leads round no specifier",
)
_ROUND = "A client reaches paths that it was not granted, by another spelling."
_OPEN = "Anybody reaches the API, by another spelling of its path."


def _other_only(mint: Mint) -> str:
    return mint.token(scope=None, x_nmos={"read": [mint.other, f"{mint.other}/*"]})


def _round(name: str, title: str, target: str, source: Source = _NORMAL) -> Row:
    return Row(
        f"paths-{name}",
        Suite.PATHS,
        title,
        source,
        CLOSED,
        _ROUND,
        token=_other_only,
        target=target,
    )


def _open(name: str, title: str, target: str) -> Row:
    return Row(
        f"paths-open-{name}",
        Suite.PATHS,
        f"{title}, without a token",
        practice("no spelling of a protected path is public"),
        CLOSED | {301, 302, 307, 308},
        _OPEN,
        target=target,
    )


PATHS = (
    _round("dots", "`..` out of a granted path", "{base}/{other}/../{path}"),
    _round("dots-escaped", "an escaped `..`", "{base}/{other}/%2e%2e/{path}"),
    _round("dots-mixed", "a half escaped `..`", "{base}/{other}/.%2E/{path}"),
    _round(
        "dots-twice",
        "an `..` that is escaped twice",
        "{base}/{other}/%252e%252e/{path}",
        practice("nothing is decoded twice"),
    ),
    _round(
        "slash-escaped",
        "an escaped slash",
        "{base}/{other}%2f..%2f{path}",
        practice("an escaped slash is no slash, or is refused"),
    ),
    _round(
        "backslash",
        "a backslash",
        "{base}/{other}/..%5c{path}",
        practice("a backslash is no slash, or is refused"),
    ),
    _round(
        "parameters",
        "`..` with parameters",
        "{base}/{other}/..;x=y/{path}",
        practice("`..;` is an ordinary segment, or is refused"),
    ),
    _open("capitals", "the path in capitals", "/X-NMOS/{api}/"),
    _open("escaped", "the path with an escaped letter", "/%78-nmos/{api}/"),
    _open("double-slash", "the path with two slashes", "//x-nmos/{api}/"),
    _open("inner-slash", "the path with two slashes within", "/x-nmos//{api}/"),
    _open("dot", "the path with a dot", "/./x-nmos/{api}/"),
    _open("dots", "the path from elsewhere, by `..`", "/elsewhere/../x-nmos/{api}/"),
    _open("parameters", "the path with parameters", "/x-nmos;x=y/{api}/"),
    _open("null", "the path with a null character", "/x-nmos/{api}/%00"),
    Row(
        "paths-slash-end",
        Suite.PATHS,
        "the very path with a slash at its end",
        is_10("Behaviour: Resource Servers, Path Validation", "a slash at the end means nothing"),
        PERMITTED,
        "Clients cannot do what the operator granted.",
        warns=frozenset({301, 302, 307, 308, 404}),
        token=lambda mint: mint.token(scope=None, x_nmos={"read": [mint.path]}),
        target="{base}/{path}/",
    ),
    Row(
        "paths-bad-escape",
        Suite.PATHS,
        "a path with a bad escape",
        rfc(3986, "2.1", "a per cent sign is followed by two hexadecimal digits"),
        CLOSED,
        "A stranger can make the server fail with one path.",
        token=lambda mint: mint.token(),
        target="{base}/%zz",
    ),
)

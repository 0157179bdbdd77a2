"""Spellings of a path: the server must check the path that it serves."""

from __future__ import annotations

from nmos_auth.probe.mint import Mint
from nmos_auth.probe.rows import Force, Maker, Row, Source, Suite, is_04, is_10, practice, rfc
from nmos_auth.probe.sentences import LESS, OTHER_SPELLING, PERMISSIONS_OBJECT
from nmos_auth.probe.table.statuses import CLOSED, PERMITTED
from nmos_auth.probe.table.tokens import good_token, reading

__all__ = ["PATHS"]

_NORMAL = is_10(PERMISSIONS_OBJECT, "URLs are normalised, so that `..` does not evade a specifier")
_UTF_8 = rfc(3629, "3", "decoders protect against invalid sequences, such as overlong ones")
_OPEN = "With another spelling of its path, anybody can use the API."


def _other_only(mint: Mint) -> str:
    return mint.reading("{other}", "{other}/*")


def _round(
    name: str, title: str, target: str, source: Source = _NORMAL, token: Maker = _other_only
) -> Row:
    return Row(
        f"paths-{name}",
        Suite.PATHS,
        title,
        source,
        CLOSED,
        OTHER_SPELLING,
        token=token,
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
        practice("an escaped slash is not a slash, or is refused"),
    ),
    _round(
        "backslash",
        "a backslash",
        "{base}/{other}/..%5c{path}",
        practice("a backslash is not a slash, or is refused"),
    ),
    _round(
        "parameters",
        "`..` with parameters",
        "{base}/{other}/..;x=y/{path}",
        practice("`..;` is an ordinary segment, or is refused"),
    ),
    _round("dots-deep", "`..` twice", "{base}/{other}/x/../../{path}"),
    _round("overlong", "an overlong `..`", "{base}/{other}/%c0%ae%c0%ae/{path}", _UTF_8),
    _round("overlong-slash", "an overlong slash", "{base}/{other}%c0%af..%c0%af{path}", _UTF_8),
    _round(
        "wide-dots",
        "`..` in wide letters",
        "{base}/{other}/%EF%BC%8E%EF%BC%8E/{path}",
        practice("letters that only look like dots are not dots"),
    ),
    _round(
        "query-dots", "`..` in the query", "{base}/{other}x?/../{path}", token=reading("{other}*")
    ),
    _open("capitals", "the path in capitals", "/X-NMOS/{api}/"),
    _open("escaped", "the path with an escaped letter", "/%78-nmos/{api}/"),
    _open("double-slash", "the path with two slashes", "//x-nmos/{api}/"),
    _open("inner-slash", "the path with two slashes within", "/x-nmos//{api}/"),
    _open("dot", "the path with a dot", "/./x-nmos/{api}/"),
    _open("dots", "the path reached from elsewhere by `..`", "/elsewhere/../x-nmos/{api}/"),
    _open("parameters", "the path with parameters", "/x-nmos;x=y/{api}/"),
    _open("null", "the path with a null character", "/x-nmos/{api}/%00"),
    _open("newline", "the path with a new line", "/x-nmos/{api}/%0d%0a"),
    _open("no-slash", "the path without its first slash", "x-nmos/{api}/"),
    _open("absolute", "the path in an absolute URL", "http://other.invalid/x-nmos/{api}/"),
    _open(
        "absolute-dots",
        "the path reached by `..` in an absolute URL",
        "http://other.invalid/a/../x-nmos/{api}/",
    ),
    Row(
        "paths-absolute",
        Suite.PATHS,
        "the granted path in an absolute URL",
        rfc(9112, "3.2.2", "a server accepts the absolute form"),
        PERMITTED,
        "Clients behind a proxy cannot use this API.",
        warns=frozenset({400, 403, 404}),
        token=reading("{path}"),
        target="http://device.invalid{base}/{path}",
    ),
    Row(
        "paths-escaped",
        Suite.PATHS,
        "the granted path, with its letters escaped",
        rfc(3986, "2.3", "an escaped letter and that letter are equivalent", Force.STATED),
        PERMITTED,
        LESS,
        token=reading("{path}"),
        target="{base}/{escaped}",
    ),
    Row(
        "paths-slash-end",
        Suite.PATHS,
        "the granted path with a slash at its end",
        is_04("APIs, URLs: Approach to Trailing Slashes", "GET works with and without the slash"),
        PERMITTED,
        LESS,
        warns=frozenset({301, 302, 307, 308, 404}),
        token=reading("{path}"),
        target="{base}/{path}/",
    ),
    *(
        Row(
            f"paths-{name}",
            Suite.PATHS,
            f"a path with {title}",
            source,
            CLOSED,
            "Two servers may read the same path differently.",
            token=good_token,
            target=f"{{base}}/{path}",
        )
        for name, title, path, source in (
            (
                "bad-escape",
                "a bad escape",
                "%zz",
                rfc(
                    3986,
                    "2.1",
                    "a per cent sign is followed by two hexadecimal digits",
                    Force.STATED,
                ),
            ),
            (
                "bad-utf-8",
                "a byte that is not UTF-8",
                "%ff",
                practice("no path makes a server fail"),
            ),
            ("surrogate", "half of a surrogate pair", "%ed%a0%80", _UTF_8),
        )
    ),
)

"""A request target → one canonical path → (api, version, rest). Pure functions."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple, NoReturn
from urllib.parse import quote, unquote_to_bytes

from nmos_auth.errors import Detail, MalformedTarget, Reason

__all__ = [
    "NMOS_ROOT",
    "ApiPath",
    "CanonicalPath",
    "Location",
    "api_path",
    "canonical_path",
    "is_canonical_rest",
    "locate",
]

NMOS_ROOT = "x-nmos"

# Segments that need neither decoding nor dot removal, as in almost every request.
_PLAIN = re.compile(rb"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_SEPARATOR = re.compile(rb"%(?:2[Ff]|5[Cc])")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
# Scheme and authority (RFC 3986 Section 3.2), which has escapes only in names that are not hosts.
_ABSOLUTE_FORM = re.compile(r"https?://[A-Z0-9._~!$&'()*+,;=:@\[\]-]*(?![^/])", re.IGNORECASE)
_VERSION = re.compile(r"v[0-9]+\.[0-9]+")
_UNRESERVED_IN_PATH = "/!$&'()*+,;=:@-._~"


# Paths up to this length are remembered, so that their memory is bounded.
_LONGEST_REMEMBERED = 512
_MOST_REMEMBERED = 1024


class CanonicalPath(NamedTuple):
    """One path, as text for routing and matching and as bytes for `raw_path`."""

    text: str
    raw: bytes


class ApiPath(NamedTuple):
    """A path below `/x-nmos`, taken apart.

    Attributes:
        api: the NMOS API's name, "" for `/x-nmos` itself.
        rest: the path that access permissions are matched with: everything after the version and
            its slash, without a trailing slash; None if the second segment is not a version, which
            nothing can permit.
        is_root: whether this is `/x-nmos` itself, in its only public spelling.
    """

    api: str
    rest: str | None
    is_root: bool


class Location(NamedTuple):
    """Where a request leads.

    Attributes:
        path: the canonical path.
        root_path: the path at which the app is mounted, "" or "/" and whole segments.
        target: the path taken apart; None outside `/x-nmos`.
    """

    path: CanonicalPath
    root_path: str
    target: ApiPath | None


def locate(path: str, raw_path: bytes | None, root_path: str) -> Location:
    """Return where a request leads, from what an ASGI server says about its target.

    A target in absolute form is served by its path (RFC 9112 Section 3.2.2: "a server MUST accept
    the absolute-form in requests"). A `root_path` may end with a slash, or begin without one: only
    the segments that it names are removed from the path. Recent targets are remembered.

    Args:
        path: `scope["path"]`, decoded.
        raw_path: `scope["raw_path"]`, as it came, or None if the server does not set it.
        root_path: `scope["root_path"]`.

    Raises:
        MalformedTarget: the path has no canonical form.
    """
    if len(path) + len(raw_path or b"") > _LONGEST_REMEMBERED:
        return _locate(path, raw_path, root_path)
    return _locate_remembered(path, raw_path, root_path)


def _locate(path: str, raw_path: bytes | None, root_path: str) -> Location:
    root = "/" + root_path.strip("/") if root_path.strip("/") else ""
    if (
        root != root_path
        or not path.startswith("/")
        or (root and _ABSOLUTE_FORM.match(path, len(root)))
    ):
        path, raw_path = _in_origin_form(path, raw_path, root_path, root)
    canonical = canonical_path(path, raw_path)
    return Location(canonical, root, api_path(canonical.text, root))


_locate_remembered = functools.lru_cache(_MOST_REMEMBERED)(_locate)


def _in_origin_form(
    path: str, raw_path: bytes | None, root_path: str, root: str
) -> tuple[str, bytes | None]:
    """Return path and raw path as the root, a slash and the rest, in whatever form they came."""
    # Latin-1 keeps every byte unchanged.
    raw = None if raw_path is None else raw_path.decode("latin-1")
    # A path that looks like an absolute form only after decoding is not one.
    came = path if raw is None else raw
    is_absolute = _ABSOLUTE_FORM.match(came.removeprefix(root_path)) is not None
    path = _behind_root(path, root_path, root, is_absolute=is_absolute)
    if raw is not None:
        raw = _behind_root(raw, root_path, root, is_absolute=is_absolute)
    return path, None if raw is None else raw.encode("latin-1")


def _behind_root(path: str, root_path: str, root: str, *, is_absolute: bool) -> str:
    # Servers put `root_path` in front of the path, as it is.
    in_front = path.startswith(root_path)
    rest = path.removeprefix(root_path)
    if is_absolute:
        rest = _ABSOLUTE_FORM.sub("", rest, count=1) or "/"
        return root + rest if in_front else rest
    if in_front and rest.startswith("/"):
        return root + rest
    if in_front and root_path.endswith("/"):
        return f"{root}/{rest}"
    return path


def canonical_path(path: str, raw_path: bytes | None) -> CanonicalPath:
    """Return the canonical form of the path of an ASGI scope (RFC 3986 Section 6.2.2).

    Escapes are decoded once; `.` and `..` segments, escaped or not, are removed as in RFC 3986
    Section 5.2.4. IS-10 "Behaviour: Access Tokens" requires this of Resource Servers.

    Args:
        path: `scope["path"]`, decoded.
        raw_path: `scope["raw_path"]`, as it came, or None if the server does not set it.

    Raises:
        MalformedTarget: it has escaped slashes, backslashes, control characters, empty segments,
            bad escapes or bad UTF-8, or there is no path.
    """
    if raw_path is None:
        return _canonical(path)
    raw = raw_path.partition(b"?")[0]
    if raw and _PLAIN.fullmatch(raw):
        text = raw.decode("ascii")
        if text == path:
            return CanonicalPath(text, raw)
    if _BAD_ESCAPE.search(raw):
        _refuse("a percent sign is not followed by two hexadecimal digits")
    if _ENCODED_SEPARATOR.search(raw):
        _refuse("the path has an escaped slash or backslash")
    if b"#" in raw:
        _refuse("the path has a #")
    if not _is_decoded_from(raw, path):
        try:
            unquote_to_bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            _refuse("the path is not UTF-8")
    # If something in front has rewritten the path but not raw_path, the app routes by the path.
    return _canonical(path)


def _is_decoded_from(raw: bytes, path: str) -> bool:
    """Tell whether the server has certainly decoded the path as valid UTF-8.

    For valid UTF-8 the answer is seldom no. This saves decoding again, which takes two milliseconds
    for 64 KB of escapes. Servers write U+FFFD for bytes that are not UTF-8, and a path that was
    decoded as anything else has another length when it is encoded.
    """
    if b"%" not in raw and raw.isascii():
        return True
    length = len(raw) - 2 * raw.count(b"%")
    return "\ufffd" not in path and len(path.encode(errors="replace")) == length


def _canonical(path: str) -> CanonicalPath:
    if not path.startswith("/"):
        _refuse("the path does not begin with a slash")
    if _has_forbidden(path):
        _refuse("the path has an empty segment, a backslash or a control character")
    text = _remove_dot_segments(path)
    try:
        return CanonicalPath(text, quote(text, safe=_UNRESERVED_IN_PATH).encode("ascii"))
    except UnicodeEncodeError:
        _refuse("the path is not UTF-8")


def _has_forbidden(path: str) -> bool:
    # With `//` as an alternative in the expression, 64 KB take three times as long.
    return "//" in path or _FORBIDDEN.search(path) is not None


def _refuse(why: str) -> NoReturn:
    raise MalformedTarget(Reason.TARGET, detail=Detail(why)) from None


def _remove_dot_segments(path: str) -> str:
    segments = path.split("/")[1:]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def api_path(path: str, root_path: str) -> ApiPath | None:
    """Split a canonical path, or return None if it is outside `/x-nmos`.

    Args:
        path: a canonical path, as text.
        root_path: `scope["root_path"]`: the path at which the app is mounted. It may end before
            `/x-nmos` or below it, and is removed only by whole segments.

    `x-nmos` is recognised in any case, so that routes that ignore case cannot be reached unchecked.
    """
    root = root_path.rstrip("/")
    if not root:
        first, _, below = path[1:].partition("/")
        return _below_nmos_root(first, below) if first.casefold() == NMOS_ROOT else None
    if not (path == root or path.startswith(root + "/")):
        # Starlette routes a path that does not begin with the root as if it came after the root.
        path = root + path
    segments = path.split("/")
    for index in range(1, root.count("/") + 2):
        if index < len(segments) and segments[index].casefold() == NMOS_ROOT:
            return _below_nmos_root(segments[index], "/".join(segments[index + 1 :]))
    return None


def _below_nmos_root(spelling: str, below: str) -> ApiPath:
    below = below.removesuffix("/")
    if not below:
        return ApiPath(api="", rest=None, is_root=spelling == NMOS_ROOT)
    api, _, versioned = below.partition("/")
    version, _, rest = versioned.partition("/")
    if not versioned:
        return ApiPath(api, rest="", is_root=False)
    if not _VERSION.fullmatch(version):
        return ApiPath(api, rest=None, is_root=False)
    return ApiPath(api, rest=rest, is_root=False)


def is_canonical_rest(rest: str) -> bool:
    """Tell whether `rest`, a path after the API version, has no other spelling."""
    path = "/" + rest
    return not _has_forbidden(path) and _remove_dot_segments(path) == path

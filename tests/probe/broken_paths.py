"""Which path a Node checks and which it serves, with each way in which these differ at a switch."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from starlette.types import Scope

from tests.probe.broken_tokens import Refused

__all__ = ["PATH_FAULTS", "BrokenPaths", "without_dots"]

PATH_FAULTS = (
    "path undecoded",
    "path raw dots",
    "absolute open",
    "absolute refused",
    "overlong decoded",
    "slashes open",
    "slashes escaped",
    "decoded twice",
    "parameters stripped",
    "wide dots folded",
    "query in path",
    "controls open",
    "bad paths crash",
)


@dataclass(frozen=True)
class BrokenPaths:
    """Reads the path of a request.

    Attributes:
        has: tells whether it has a fault.
    """

    has: Callable[[str], bool]

    def is_open(self, scope: Scope) -> bool:
        """Tell whether a path passes unchecked because of how it is written.

        Raises:
            Refused: it is malformed.
            UnicodeError: the Node cannot bear it.
        """
        raw = _raw(scope)
        if self.has("bad paths crash") and re.search("%zz|%ff|%ed", raw):
            raise UnicodeError(raw)
        bad = r"%2f|%5c|%0|//|%(?![0-9a-fA-F]{2})|%ff|%ed%a0|%c0"
        if self.has("overlong decoded"):
            bad = bad.replace("|%c0", "")
        if self.has("slashes escaped"):
            bad = bad.replace("%2f|%5c|", "")
        absolute = "://" in raw
        if (
            (absolute and self.has("absolute open"))
            or (self.has("slashes open") and "//" in raw.partition("://")[0])
            or (self.has("controls open") and "%0" in raw)
        ):
            return True
        if re.search(bad, re.sub("^[a-z]+://", "", raw), re.IGNORECASE) or (
            absolute and self.has("absolute refused")
        ):
            raise Refused(400)
        return self.has("parameters stripped") and ";" in raw.split("/")[1]

    def checked(self, scope: Scope) -> str:
        """Return the path whose permission is checked."""
        raw = _relative(scope)
        if self.has("path undecoded"):
            return raw
        path = unquote(raw)
        if self.has("query in path") and scope["query_string"]:
            return f"{path}?{scope['query_string'].decode()}"
        if self.has("slashes escaped") and re.search("%2f|%5c", raw):
            return path.replace("\\", "/")
        if self.has("overlong decoded") and "%c0" in raw:
            return unquote(raw.replace("%c0%af", "/"))
        return path if self.has("path raw dots") else without_dots(path)

    def served(self, scope: Scope) -> str:
        """Return what routers make of the path, whatever was checked, without slashes around it."""
        raw = _relative(scope)
        if self.has("overlong decoded"):
            raw = raw.replace("%c0%ae", ".").replace("%c0%af", "/")
        path = unquote(raw)
        if self.has("decoded twice"):
            path = unquote(path)
        if self.has("slashes escaped"):
            path = path.replace("\\", "/")
        if self.has("parameters stripped"):
            path = re.sub(";[^/]*", "", path)
        if self.has("wide dots folded"):
            path = unicodedata.normalize("NFKC", path)
        if self.has("query in path") and scope["query_string"]:
            path += f"?{scope['query_string'].decode()}"
        return without_dots(path).strip("/")


def _raw(scope: Scope) -> str:
    raw: bytes = scope["raw_path"]
    return raw.decode("latin-1")


def _relative(scope: Scope) -> str:
    raw = _raw(scope)
    return urlsplit(raw).path if "://" in raw else raw


def without_dots(path: str) -> str:
    """Return a path without `.` and `..`."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept)

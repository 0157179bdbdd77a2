"""Access permissions objects and path specifiers (IS-10 "Behaviour: Access Tokens")."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from nmos_auth.wildcards import Wildcard

__all__ = [
    "CLAIM_PREFIX",
    "AccessPermissions",
    "PathSpecifiers",
    "Verb",
    "deciding_paths",
    "verb_for",
]

Verb = Literal["read", "write"]

CLAIM_PREFIX = "x-nmos-"

_ASTERISKS = re.compile(r"\*{2,}")

# "write: … POST, PUT, PATCH and DELETE HTTP request verbs. read: … GET, OPTIONS and HEAD".
_VERBS: Mapping[str, Verb] = {
    "GET": "read",
    "HEAD": "read",
    "POST": "write",
    "PUT": "write",
    "PATCH": "write",
    "DELETE": "write",
}


def verb_for(method: str) -> Verb | None:
    """Tell the permission that an HTTP method needs; None where no permission covers it."""
    return _VERBS.get(method)


def deciding_paths(pattern: str) -> tuple[str, ...]:
    """Give the few paths of a pattern that are all permitted only where every one of its paths is.

    Args:
        pattern: paths after the API version; `*` stands for zero or more characters.

    The first is the pattern itself, its asterisks taken for ordinary characters. No specifier has
    an asterisk but as its own wildcard, so one that matches this path gives each asterisk to a
    wildcard, which takes whatever else may stand there as well; and if none matches, this very path
    is the one that is not permitted. Hence no list covers together what no entry of it covers
    alone, save where an asterisk stands for nothing and a slash or an empty path is left, which
    are matched in their own ways: those paths are the others.

        >>> deciding_paths("receivers/*")
        ('receivers/*', 'receivers')
    """
    shortest = _ASTERISKS.sub("*", pattern)
    if shortest == "*" or shortest.endswith("/*"):
        return shortest, shortest[:-2]
    return (shortest,)


class PathSpecifiers:
    """The path specifiers of one permission key, compiled once.

    >>> PathSpecifiers(["single/senders/*"]).match("single/senders/1/staged")
    True
    """

    __slots__ = ("_all", "_literals", "_wildcards")

    def __init__(self, specifiers: Iterable[str] = ()) -> None:
        distinct = set(specifiers)
        self._all = "*" in distinct
        self._literals = frozenset(each for each in distinct if "*" not in each)
        self._wildcards = tuple(Wildcard(each) for each in distinct if "*" in each and each != "*")

    def match(self, path: str) -> bool:
        """Tell whether a specifier stands for `path`: what follows the API version and its slash.

        A trailing slash means nothing in NMOS APIs, so a path is matched with and without it; the
        empty path, a base path, has but one form.
        """
        if self._all:
            return True
        bare = path.removesuffix("/")
        if bare in self._literals:
            return True
        slashed = bare and bare + "/"
        if slashed in self._literals:
            return True
        for wildcard in self._wildcards:
            if wildcard.matches(bare) or (slashed and wildcard.matches(slashed)):
                return True
        return False


@dataclass(frozen=True, slots=True)
class AccessPermissions:
    """The access permissions object of one `x-nmos-*` claim."""

    read: PathSpecifiers
    write: PathSpecifiers

    @staticmethod
    def from_claim(claim: object) -> AccessPermissions | None:
        """Compile a claim's value; None where it is no JSON object and so grants nothing.

        A permission that is no array, and an entry of it that is no string, grants nothing.
        """
        if not isinstance(claim, dict):
            return None
        return _compile(_specifiers(claim.get("read")), _specifiers(claim.get("write")))


def _specifiers(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple([each for each in value if isinstance(each, str)])


@functools.lru_cache(256)  # many tokens carry the same few lists
def _compile(read: tuple[str, ...], write: tuple[str, ...]) -> AccessPermissions:
    return AccessPermissions(PathSpecifiers(read), PathSpecifiers(write))

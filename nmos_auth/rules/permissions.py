"""Access permissions objects and path specifiers (IS-10 "Behaviour: Access Tokens")."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from nmos_auth.errors import Detail
from nmos_auth.rules.wildcards import Wildcard

__all__ = [
    "CLAIM_PREFIX",
    "AccessPermissions",
    "PathSpecifiers",
    "Verb",
    "deciding_paths",
    "json_type",
    "lacking_permission",
    "verb_for",
]

Verb = Literal["read", "write"]

CLAIM_PREFIX = "x-nmos-"

_ASTERISKS = re.compile(r"\*{2,}")
# A path of any length is searched for this many specifiers, which takes 5 ms at worst; for more of
# them only up to this many characters. The paths of NMOS APIs are much shorter.
_MOST_SEARCHING = 8
_LONGEST_SEARCHED = 2048

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
    """Return the permission that an HTTP method requires; None if no permission covers it."""
    return _VERBS.get(method)


def deciding_paths(pattern: str) -> tuple[str, ...]:
    """Return the few paths of a pattern that decide about all its paths.

    The pattern is covered exactly if each of these paths is permitted:

    1. One of them is the pattern itself, its asterisks read as ordinary characters. In a specifier
       an asterisk is always a wildcard, so a specifier that matches this path has a wildcard
       wherever the pattern has an asterisk, and that wildcard matches everything there.
    2. If no specifier matches it, this very path is one that is not permitted. So several
       specifiers together do not cover a pattern that none of them covers by itself: `a*` and `b*`
       do not cover `*`, because neither permits the path `*`.
    3. The exception is an asterisk that matches nothing and leaves a slash at the start or at the
       end, or an empty path. Those slashes have no meaning, so what is left is another path:
       `receivers/*` requires `receivers` too, and `*/b` requires `b`.

    A pattern with an asterisk matches paths of any length, but `PathSpecifiers.match` may not
    search long ones. Therefore the first asterisk of each path is a run, so that it is a long path.

    Args:
        pattern: paths after the API version; `*` stands for zero or more characters.

        >>> [path.replace("*" * 2049, "*") for path in deciding_paths("receivers/*")]
        ['receivers/*', 'receivers']
    """
    shortest = _ASTERISKS.sub("*", pattern)
    paths = [shortest]
    if shortest.startswith("*/"):
        paths.append(shortest[2:])
    paths += [each[:-2] for each in paths if each == "*" or each.endswith("/*")]
    return tuple(each.replace("*", "*" * (_LONGEST_SEARCHED + 1), 1) for each in paths)


class PathSpecifiers:
    """The path specifiers of one permission key, compiled once.

    >>> PathSpecifiers(["single/senders/*"]).match("single/senders/1/staged")
    True
    """

    __slots__ = ("_all", "_at_any_length", "_literals", "_wildcards")

    def __init__(self, specifiers: Iterable[str]) -> None:
        given = frozenset(specifiers)
        self._all = "*" in given
        self._literals = frozenset(each for each in given if "*" not in each)
        self._wildcards = [Wildcard(each) for each in given if "*" in each]
        quick = [each for each in self._wildcards if not each.searches]
        few = len(self._wildcards) - len(quick) <= _MOST_SEARCHING
        self._at_any_length = self._wildcards if few else quick

    def match(self, path: str) -> bool:
        """Tell whether a specifier matches `path`: what follows the API version and its slash.

        A trailing slash has no meaning in NMOS APIs, so a path is matched with and without it; the
        empty path, a base path, has only one form. A specifier with text between two wildcards
        searches the path for that text, and thousands of them would take long with a long path: if
        there are more than eight, they do not match a path of more than 2,048 characters.
        """
        if self._all:
            return True
        bare = path.removesuffix("/")
        if bare in self._literals:
            return True
        slashed = bare and bare + "/"
        if slashed in self._literals:
            return True
        short = len(path) <= _LONGEST_SEARCHED
        for wildcard in self._wildcards if short else self._at_any_length:
            # One that ends with `*` and matches the shorter form matches the longer one, too. So
            # no path is searched twice for one specifier.
            if wildcard.matches(slashed) or (not wildcard.is_open and wildcard.matches(bare)):
                return True
        return False


@dataclass(frozen=True, slots=True)
class AccessPermissions:
    """The access permissions object of one `x-nmos-*` claim."""

    read: PathSpecifiers
    write: PathSpecifiers

    @staticmethod
    def from_claim(claim: object) -> AccessPermissions | None:
        """Compile the value of a claim; None if it is not a JSON object, and so grants nothing.

        A permission grants nothing unless all its entries are strings: "a JSON array containing URL
        path specifiers" (IS-10 "Behaviour: Access Tokens").
        """
        if not isinstance(claim, dict):
            return None
        read, write = _entries(claim.get("read")), _entries(claim.get("write"))
        try:
            return _compile(read, write)
        except TypeError:  # an entry that is an array or an object cannot be looked up
            return _compile.__wrapped__(read, write)


def _entries(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list) else ()


def _specifiers(entries: tuple[object, ...]) -> tuple[str, ...]:
    texts = tuple(each for each in entries if isinstance(each, str))
    return texts if len(texts) == len(entries) else ()


def json_type(value: object) -> str:
    """Name the JSON type of a value, with its article.

    >>> json_type(["a"])
    'an array'
    """
    if isinstance(value, bool):
        return "a boolean"
    names = {
        str: "a string",
        int: "a number",
        float: "a number",
        list: "an array",
        dict: "an object",
    }
    return names.get(type(value), "null")


def lacking_permission(
    claims: Mapping[str, object], scopes: Iterable[str], api: str, verb: Verb, rest: str
) -> Detail:
    """Return why a token does not permit a request, for the audit log.

    Args:
        claims: the token's claims.
        scopes: the entries of its `scope`.
        api: the NMOS API's name.
        verb: the permission that the request requires.
        rest: the path after the API version.
    """
    name = CLAIM_PREFIX + api
    claim = claims.get(name)
    if verb == "read" and not rest:
        return Detail.of(
            "read of {}, a base path, needs claim {} as an object, or scope {}; scope is {}",
            rest,
            name,
            api,
            tuple(sorted(scopes)),
        )
    if name not in claims:
        held = tuple(sorted(each for each in claims if each.startswith(CLAIM_PREFIX)))
        return Detail.of(f"{verb} of {{}} needs claim {{}}; the token has {{}}", rest, name, held)
    if not isinstance(claim, dict):
        return Detail.of(f"claim {{}} is {json_type(claim)}, and must be an object", name)
    if verb not in claim:
        return Detail.of(f"claim {{}} has no {verb}, which {{}} needs", name, rest)
    specifiers = _specifiers(_entries(claim[verb]))
    if not specifiers and claim[verb] != []:
        return Detail.of(f"{verb} of claim {{}} is not an array of strings", name)
    return Detail.of(
        f"{verb} of claim {{}} is {{}}, and nothing there matches {{}}", name, specifiers, rest
    )


@functools.lru_cache(256)  # many tokens carry the same few lists
def _compile(read: tuple[object, ...], write: tuple[object, ...]) -> AccessPermissions:
    return AccessPermissions(PathSpecifiers(_specifiers(read)), PathSpecifiers(_specifiers(write)))

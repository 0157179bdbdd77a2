"""Does an `aud` claim name this server? (IS-10 "Behaviour: Access Tokens", aud)."""

from __future__ import annotations

import functools
import re

from nmos_auth.wildcards import Wildcard

__all__ = ["host_pattern", "names_everything", "names_server", "server_name"]

_ANYTHING = "*"
# Many tokens carry the same few audiences.
_MOST_REMEMBERED = 256

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST = re.compile(r"[a-z0-9_*-]+(?:\.[a-z0-9_*-]+)*")


def host_pattern(entry: str) -> str | None:
    """Reduce one entry of an `aud` claim to a host name, in which `*` may stand, or to None.

    A scheme and one trailing dot are dropped and case is ignored. "URI based `aud` claims MUST NOT
    include port numbers, URL paths or URL query parameters": an entry with any of them is void.

        >>> host_pattern("https://Node-*.Example.com.")
        'node-*.example.com'
    """
    if not entry.isascii():
        return None
    host = entry.lower()
    scheme = _SCHEME.match(host)
    if scheme:
        host = host[scheme.end() :]
    host = host.removesuffix(".")
    return host if _HOST.fullmatch(host) else None


def server_name(name: str) -> str | None:
    """Reduce a name by which this server is known to the form in which it is compared, or to None.

    Wildcards, ports and paths make it None.
    """
    host = host_pattern(name)
    return None if host is None or "*" in host else host


@functools.lru_cache(_MOST_REMEMBERED)
def names_everything(audience: tuple[str, ...]) -> bool:
    """Tell whether an entry of `audience` stands for every server there is."""
    return any(host_pattern(entry) == _ANYTHING for entry in audience)


@functools.lru_cache(_MOST_REMEMBERED)
def names_server(audience: tuple[str, ...], servers: tuple[str, ...]) -> bool:
    """Tell whether any entry of `audience` stands for one of the names in `servers`.

    Args:
        audience: the entries of an `aud` claim.
        servers: names as `server_name` gives them.

    `*.example.com` stands for names at any depth below `example.com` (RFC 4592); any other `*`
    stays within its label; `*` alone stands for every server.
    """
    return any(
        _stands_for(pattern, server)
        for pattern in map(host_pattern, audience)
        if pattern is not None
        for server in servers
    )


def _stands_for(pattern: str, server: str) -> bool:
    if "*" not in pattern:
        return pattern == server
    if pattern == _ANYTHING:
        return True
    labels = server.split(".")
    first, *others = pattern.split(".")
    if first == "*":
        depth = len(labels) - len(others)
        return depth > 0 and all(map(_label_matches, others, labels[depth:]))
    return len(labels) == len(others) + 1 and all(map(_label_matches, [first, *others], labels))


def _label_matches(pattern: str, label: str) -> bool:
    return Wildcard(pattern).matches(label)

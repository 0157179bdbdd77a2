"""Does an `aud` claim name this server? (IS-10 "Behaviour: Access Tokens", aud)."""

from __future__ import annotations

import functools
import re
from ipaddress import AddressValueError, IPv6Address

from nmos_auth.rules.wildcards import Wildcard

__all__ = ["host_pattern", "names_everything", "names_server", "server_name"]

_ANYTHING = "*"
# Many tokens carry the same few audiences.
_MOST_REMEMBERED = 256

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST = re.compile(r"[a-z0-9_*-]+(?:\.[a-z0-9_-]+)*")


def host_pattern(entry: str) -> str | None:
    """Reduce one entry of an `aud` claim to a host name, in which `*` may stand, or to None.

    A scheme and one trailing dot are dropped and case is ignored. "URI based `aud` claims MUST NOT
    include port numbers, URL paths or URL query parameters": an entry with any of them is void. So
    is one with a `*` in any label but the first, for which DNS has no meaning (RFC 4592
    Section 2.1.1). An IPv6 address stands with or without brackets, and in its shortest form.

        >>> host_pattern("https://Node-*.Example.com.")
        'node-*.example.com'
    """
    if not entry.isascii():
        return None
    host = entry.lower()
    scheme = _SCHEME.match(host)
    if scheme:
        host = host[scheme.end() :]
    if ":" in host:
        return _ipv6_address(host)
    host = host.removesuffix(".")
    return host if _HOST.fullmatch(host) else None


def _ipv6_address(host: str) -> str | None:
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    # An address with a zone is one only on a single machine.
    if "%" in host:
        return None
    try:
        return IPv6Address(host).compressed
    except AddressValueError:
        return None


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

    `*.example.com` stands for names at any depth below `example.com` (RFC 4592); a `*` that is
    part of the first label stays within it; an entry of only `*` stands for every server.
    """
    return any(
        _stands_for(pattern, server)
        for pattern in map(host_pattern, audience)
        if pattern is not None
        for server in servers
    )


def _stands_for(pattern: str, server: str) -> bool:
    if pattern == _ANYTHING:
        return True
    first, _, parent = pattern.partition(".")
    if first == _ANYTHING:
        return server.endswith("." + parent)
    label, _, domain = server.partition(".")
    return domain == parent and Wildcard(first).matches(label)

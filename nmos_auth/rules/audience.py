"""Whether an `aud` claim names this server (IS-10 "Behaviour: Access Tokens", aud)."""

from __future__ import annotations

import functools
import re
from ipaddress import AddressValueError, IPv6Address

from nmos_auth.rules.wildcards import Wildcard

__all__ = ["host_pattern", "names_everything", "names_server", "server_name"]

_ANYTHING = "*"
# Many tokens have the same few audiences.
_MOST_REMEMBERED = 256

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST = re.compile(r"[a-z0-9_*-]+(?:\.[a-z0-9_-]+)*")


def host_pattern(entry: str) -> str | None:
    """Return the host name in an entry of an `aud` claim, which may have a `*`, or None.

    A scheme and one trailing dot are removed, and case is ignored. "URI based `aud` claims MUST NOT
    include port numbers, URL paths or URL query parameters": an entry with any of them is void. An
    entry with a `*` after the first label is void too, since DNS has no meaning for it (RFC 4592
    Section 2.1.1), and so is one with a `*` before the end of an IPv4 address. An IPv6 address may
    have brackets; it is returned in its shortest form. Several `*` and nothing else are one.

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
    if not host.strip("*"):
        return _ANYTHING if host else None
    if not _HOST.fullmatch(host) or ("*" in host and _is_address(host)):
        return None
    return host


def _is_address(host: str) -> bool:
    # The last label of a domain name is not a number (RFC 1123 Section 2.1).
    return ":" in host or host.rpartition(".")[2].isdecimal()


def _ipv6_address(host: str) -> str | None:
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    # An address with a zone is only valid on one machine.
    if "%" in host:
        return None
    try:
        return IPv6Address(host).compressed
    except AddressValueError:
        return None


def server_name(name: str) -> str | None:
    """Return a name of this server in the form in which it is compared, or None.

    It is None if the name has a wildcard, a port or a path.
    """
    host = host_pattern(name)
    return None if host is None or "*" in host else host


@functools.lru_cache(_MOST_REMEMBERED)
def names_everything(audience: tuple[str, ...]) -> bool:
    """Tell whether an entry of `audience` names every server."""
    return any("*" in entry and host_pattern(entry) == _ANYTHING for entry in audience)


@functools.lru_cache(_MOST_REMEMBERED)
def names_server(audience: tuple[str, ...], servers: tuple[str, ...]) -> bool:
    """Tell whether an entry of `audience` names one of the `servers`.

    Args:
        audience: the entries of an `aud` claim.
        servers: names that `server_name` returned.

    `*.example.com` names hosts at any depth below `example.com` (RFC 4592); a `*` that is part of
    the first label stays within it; the entry `*` names every server. A server whose name is an
    address is named by that address or by `*` only: "such wild-carding of domain names" (IS-10).
    """
    return any(
        _stands_for(pattern, server)
        for pattern in map(host_pattern, frozenset(audience))
        if pattern is not None
        for server in servers
    )


def _stands_for(pattern: str, server: str) -> bool:
    if pattern in {_ANYTHING, server}:
        return True
    if _is_address(server):
        return False
    first, _, parent = pattern.partition(".")
    if first == _ANYTHING:
        return server.endswith("." + parent)
    label, _, domain = server.partition(".")
    return domain == parent and Wildcard(first).matches(label)

"""Why an audience or a permission fits a request, or nearly fits it. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nmos_auth.rules.audience import host_pattern, names_server
from nmos_auth.rules.paths import ApiPath
from nmos_auth.rules.permissions import CLAIM_PREFIX, PathSpecifiers, verb_for

__all__ = ["audience_lines", "permission_line", "permitted_lines"]

_MOST_SHOWN = 12


def audience_lines(claim: object, names: Sequence[str]) -> list[tuple[bool, str]]:
    """Return for each entry of an `aud` claim whether it names this server, and why not.

    Args:
        claim: the claim's value.
        names: the names of this server.
    """
    entries = [claim] if isinstance(claim, str) else claim
    if not isinstance(entries, list) or not entries:
        return [(False, "aud is missing, or not a string or an array of strings")]
    return [_audience_line(entry, names) for entry in entries[:_MOST_SHOWN]]


def _audience_line(entry: object, names: Sequence[str]) -> tuple[bool, str]:
    if not isinstance(entry, str):
        return False, f"{entry!r:.80} is not a string"
    if names_server((entry,), tuple(names)):
        return True, f"{entry!r:.120} names this server"
    if host_pattern(entry) is None:
        return False, (
            f"{entry!r:.120} does not name a server: an entry is an address, or a host name that"
            " may have `*` in its first label, with an optional scheme, and without port, path or"
            " query"
        )
    return False, f"{entry!r:.120} names another server; this one is {', '.join(names)}"


def permission_line(
    claims: Mapping[str, object], scopes: frozenset[str], method: str, target: ApiPath
) -> tuple[bool, str]:
    """Find the permission that a request requires (IS-10 "Behaviour: Resource Servers").

    Args:
        claims: the token's claims.
        scopes: the entries of its `scope`.
        method: the HTTP method.
        target: the API and path.
    """
    verb = verb_for(method)
    if verb is None:
        return False, f"no permission covers the method {method}"
    if target.rest is None:
        return False, "the segment after the API's name is not a version such as v1.3"
    claim = CLAIM_PREFIX + target.api
    path = target.rest.removesuffix("/")
    granted = isinstance(claims.get(claim), dict) or target.api in scopes
    if verb == "read" and not path and granted:
        return True, f"a base path may be read with the claim {claim} or the scope {target.api}"
    where = f"{verb} of {path or 'the base path'!r} in {target.api}"
    specifiers, trouble = _specifiers(claims, scopes, target.api, verb)
    if trouble:
        return False, f"{where}: {trouble}"
    # Together they decide: very many are not searched for in a very long path.
    matching = specifiers if PathSpecifiers(specifiers).match(path) else ()
    for each in matching:
        if PathSpecifiers([each]).match(path):
            return True, f"{where}: the specifier {each!r:.120} matches"
    return False, (
        f"{where}: none of {len(specifiers)} specifiers matches; the nearest is"
        f" {_nearest(path, specifiers)!r:.120}"
    )


def _specifiers(
    claims: Mapping[str, object], scopes: frozenset[str], api: str, verb: str
) -> tuple[list[str], str]:
    """Return the specifiers of a permission, or what is wrong with it."""
    claim = CLAIM_PREFIX + api
    permissions = claims.get(claim)
    specifiers = permissions.get(verb) if isinstance(permissions, dict) else None
    trouble = ""
    if claim not in claims:
        has = ", ".join(sorted(each for each in claims if each.startswith(CLAIM_PREFIX)))
        scope = " (the scope only permits reading base paths)" if api in scopes else ""
        trouble = f"there is no claim {claim}{scope}; the token has {has or 'no such claim at all'}"
    elif not isinstance(permissions, dict):
        trouble = f"the claim {claim} is {_kind(permissions)}, and must be a JSON object"
    elif verb not in permissions:
        trouble = f"{claim} has no `{verb}`"
    elif not isinstance(specifiers, list) or not all(isinstance(each, str) for each in specifiers):
        trouble = f"`{verb}` of {claim} is not an array of strings"
    elif not specifiers:
        trouble = f"`{verb}` of {claim} is empty"
    return (specifiers, "") if isinstance(specifiers, list) and not trouble else ([], trouble)


def _nearest(path: str, specifiers: Sequence[str]) -> str:
    """Return the specifier that agrees longest with the start of a path."""

    def agreement(specifier: str) -> int:
        pairs = enumerate(zip(path, specifier, strict=False))
        return next((at for at, (a, b) in pairs if a != b), min(len(path), len(specifier)))

    return max(specifiers, key=lambda each: (agreement(each), -len(each)))


def permitted_lines(claims: Mapping[str, object], scopes: frozenset[str]) -> list[str]:
    """Return what a token permits, API by API."""
    lines = []
    apis = {each.removeprefix(CLAIM_PREFIX) for each in claims if each.startswith(CLAIM_PREFIX)}
    for api in sorted(apis | scopes):
        permissions = claims.get(CLAIM_PREFIX + api)
        if not isinstance(permissions, dict):
            lines.append(
                f"{api}: its base path may be read" if api in scopes else f"{api}: nothing"
            )
            continue
        granted = [
            f"{verb} {', '.join(map(str, permissions[verb])) or 'nothing'}"
            for verb in ("read", "write")
            if isinstance(permissions.get(verb), list)
        ]
        lines.append(f"{api}: {'; '.join(granted) or 'its base path may be read'}")
    return lines or ["nothing"]


def _kind(value: object) -> str:
    kinds = {str: "a string", list: "an array", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")

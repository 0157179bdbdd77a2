"""Checks one Authorization Server from this host: TLS, metadata, keys and clock."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from nmos_auth.client.settings import ClientSettings
from nmos_auth.errors import FetchError, KeySetError, MetadataError
from nmos_auth.operate.certificates import tls_findings
from nmos_auth.operate.findings import Finding, Level, worst
from nmos_auth.servers.access import ServerAccess
from nmos_auth.servers.certificates import TlsIdentity
from nmos_auth.servers.http import HttpClient
from nmos_auth.servers.server_metadata import IssuerRules, fetch_metadata, jwks_uri_of
from nmos_auth.servers.strict_json import JsonObject
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.trust.jwks import parse_jwk

__all__ = ["check_server"]

# IS-10 tokens have whole seconds and, by default, a second of leeway on `iat` and `nbf`.
_CLOCK_WARNING = 1.0
_CLOCK_FAILURE = 30.0


async def check_server(
    issuer: IssuerUrl,
    *,
    access: ServerAccess,
    ca_file: Path | None,
    clock: Callable[[], float],
    client: ClientSettings | None = None,
) -> list[Finding]:
    """Ask an Authorization Server everything that a Node asks it, and return what is wrong.

    Args:
        issuer: the server's issuer identifier.
        access: how servers are reached; through a proxy its certificate is not checked.
        ca_file: root certificates; None for the system's.
        clock: seconds since 1970 UTC.
        client: the settings of this host's client, or None.
    """
    findings: list[Finding] = []
    if issuer.scheme == "https" and access.proxy is None:
        tls = access.tls
        context = await tls.context() if isinstance(tls, TlsIdentity) else tls
        findings += await tls_findings(
            str(issuer),
            issuer.hostname,
            issuer.port,
            context,
            ca_file=ca_file,
            names=(),
            versions=False,
            now=clock(),
        )
        if worst(findings) is Level.FAILURE:
            return findings
    async with contextlib.aclosing(HttpClient(access)) as http:
        try:
            metadata = await fetch_metadata(
                http.get_document, issuer, lambda document: document, allow_openid=True
            )
        except FetchError as error:
            cure = f"the server must answer at {issuer.metadata_url} (RFC 8414 Section 3)"
            return [*findings, Finding.failure(str(issuer), str(error), cure)]
        findings += _check_clock(str(issuer), metadata.date, clock())
        findings += await _check_keys(http, issuer, metadata.content)
    if client is not None:
        findings += _check_offers(str(issuer), metadata.content, client)
    return findings


def _check_offers(subject: str, metadata: JsonObject, client: ClientSettings) -> list[Finding]:
    """Check that a server offers what a client with these settings needs (RFC 8414 Section 2)."""
    findings = []
    if client.id is None and "registration_endpoint" not in metadata:
        findings.append(
            Finding.failure(
                subject,
                "it does not register clients (RFC 7591)",
                "make a client there, and set NMOS_AUTH_CLIENT_ID and NMOS_AUTH_CLIENT_SECRET",
            )
        )
    # RFC 8414 Section 2: a list that is omitted has a default.
    grants = metadata.get("grant_types_supported", ["authorization_code", "implicit"])
    methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    for offered, wanted, setting in (
        (grants, client.grant.value, "GRANT"),
        (methods, client.auth_method.value, "AUTH_METHOD"),
    ):
        if not isinstance(offered, list) or wanted not in offered:
            findings.append(
                Finding.warning(
                    subject,
                    f"it does not say that it offers {wanted}",
                    f"set NMOS_AUTH_CLIENT_{setting} to what it offers, or enable it there",
                )
            )
    return findings or [Finding.ok(subject, "it offers what this host's client needs")]


def _check_clock(subject: str, date: float | None, now: float) -> list[Finding]:
    if date is None:
        return []
    # `Date` has whole seconds, and is written before the answer is sent.
    off = now - date - 0.5
    size, direction = abs(off), "ahead of" if off > 0 else "behind"
    if size <= 0.5 + _CLOCK_WARNING:
        return [Finding.ok(subject, "its clock and this host's agree within two seconds")]
    text = f"this host's clock is {size:.0f} s {direction} the server's"
    cure = "synchronise both by NTP or PTP: new tokens seem to come from the future"
    if size > _CLOCK_FAILURE:
        return [Finding.failure(subject, text, cure)]
    return [Finding.warning(subject, text, cure)]


async def _check_keys(http: HttpClient, issuer: IssuerUrl, metadata: JsonObject) -> list[Finding]:
    subject = str(issuer)
    rules = IssuerRules(allow_http=issuer.scheme == "http")
    try:
        uri = jwks_uri_of(metadata, issuer, rules)
    except MetadataError as error:
        named = metadata.get("issuer")
        cure = "correct the server's metadata"
        if isinstance(named, str) and named != issuer.text:
            cure = f"if you mean that server, set NMOS_AUTH_SERVERS={named:.200}"
        return [Finding.failure(subject, str(error), cure)]
    findings = [Finding.ok(subject, "its metadata is found, and names it")]
    try:
        document = await http.get_json(uri)
    except FetchError as error:
        cure = "the jwks_uri of its metadata must be the URL of a JSON Web Key Set"
        return [*findings, Finding.failure(subject, str(error), cure)]
    return findings + _key_findings(subject, uri, document.get("keys"))


def _key_findings(subject: str, uri: str, entries: object) -> list[Finding]:
    if not isinstance(entries, list):
        cure = "the server must publish a JSON Web Key Set (RFC 7517)"
        return [Finding.failure(subject, f"{uri} has no array `keys`", cure)]
    usable: list[str] = []
    passed_over: list[str] = []
    for number, entry in enumerate(entries):
        name = entry.get("kid") if isinstance(entry, dict) else None
        shown = f"{name:.80}" if isinstance(name, str) else f"number {number + 1}"
        try:
            parse_jwk(entry)
        except KeySetError as error:
            passed_over.append(f"{shown} {error}")
        else:
            usable.append(shown)
    return [_summary(subject, uri, usable, passed_over)]


def _summary(subject: str, uri: str, usable: Sequence[str], passed_over: Sequence[str]) -> Finding:
    over = f"; passed over: {'; '.join(passed_over)}" if passed_over else ""
    if not usable:
        return Finding.failure(
            subject,
            f"{uri} has no key that can verify access tokens{over}",
            "IS-10 requires RS512: let the server sign access tokens with an RSA key of 2048 bits"
            " or more, and publish it without `alg`, or with `alg` RS512",
        )
    return Finding.ok(subject, f"keys that verify access tokens: {', '.join(usable)}{over}")

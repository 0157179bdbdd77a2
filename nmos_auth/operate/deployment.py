"""This host's own settings, the servers that discovery finds, and what a client needs."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence

from nmos_auth.client.settings import (
    AuthMethod,
    ClientSettings,
    describe_unknown_client,
    unknown_client_variables,
)
from nmos_auth.discovery.directory import discover
from nmos_auth.discovery.dns_sd import DiscoveryError
from nmos_auth.errors import ConfigurationError
from nmos_auth.operate.findings import Finding
from nmos_auth.operate.forms import correct_form
from nmos_auth.servers.file_places import is_trusted
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.settings import (
    Discovery,
    Settings,
    describe_unknown,
    effective_environment,
    unknown_variables,
)
from nmos_auth.trust.keys_file import KeysFile
from nmos_auth.trust.static_keys import read_static_keys

__all__ = [
    "check_audience",
    "check_client",
    "check_settings",
    "find_issuers",
    "own_names",
    "read_client",
]

_NO_NAME = "no-name.invalid"  # RFC 6761 Section 6.4: nobody has it


def check_settings() -> tuple[Settings | None, list[Finding]]:
    """Read the settings of the resource server from the environment."""
    try:
        unknown = [
            *map(describe_unknown, ([name] for name in unknown_variables())),
            *map(describe_unknown_client, unknown_client_variables()),
        ]
        findings = [
            Finding.warning(
                "settings", f"{name} is not a setting of this version", "correct or remove it"
            )
            for name in unknown
        ]
    except ConfigurationError as error:  # the env file
        return None, [Finding.failure("settings", str(error), correct_form(str(error)))]
    try:
        settings = Settings()
    except ConfigurationError as error:
        try:
            settings = Settings(audience=_NO_NAME)
        except ConfigurationError:
            return None, [
                *findings,
                Finding.failure("settings", str(error), correct_form(str(error))),
            ]
        findings.append(_no_names(str(error)))
    findings += _check_files_of_keys(settings)
    if not settings.enabled:
        findings.append(
            Finding.failure(
                "settings",
                "NMOS_AUTH_ENABLED is false: every request passes, from any client",
                "remove NMOS_AUTH_ENABLED",
            )
        )
    if settings.allow_http:
        findings.append(
            Finding.warning(
                "settings",
                "NMOS_AUTH_ALLOW_HTTP is true: keys may come over http, where others can change"
                " them",
                "remove NMOS_AUTH_ALLOW_HTTP outside development",
            )
        )
    return settings, findings or [Finding.ok("settings", "all NMOS_AUTH_ variables are valid")]


def _check_files_of_keys(settings: Settings) -> Iterator[Finding]:
    """Read the files of keys, as a start does."""
    kept, static = settings.keys_file, settings.static_keys_file
    owner = os.geteuid()
    if kept is not None:
        with contextlib.suppress(OSError):
            owner = kept.stat().st_uid
    try:
        if static is not None:
            read_static_keys(static, allow_http=settings.allow_http)
        if kept is not None and is_trusted(owner):
            KeysFile(kept).check()
    except ConfigurationError as error:
        yield Finding.failure("settings", str(error), correct_form(str(error)))
    if not is_trusted(owner):
        text = f"NMOS_AUTH_KEYS_FILE: {kept} belongs to user {owner}, so it is not looked at"
        yield Finding.warning("settings", text, "run this command as the user of the Node")


def _no_names(text: str) -> Finding:
    """Return what it means that only the names of this server are missing, or wrong."""
    client, _ = read_client()
    if client is None or "NMOS_AUTH_AUDIENCE" in effective_environment():
        return Finding.failure("settings", text, "set NMOS_AUTH_AUDIENCE to this server's names")
    return Finding.warning("settings", text, "that is right for a host that is only a client")


def own_names(settings: Settings | None) -> tuple[str, ...]:
    """Return the names of this server; none if the settings have none."""
    return () if settings is None or settings.audience == (_NO_NAME,) else settings.audience


def check_audience(settings: Settings) -> list[Finding]:
    """Compare the names of this server with this host's own."""
    if not own_names(settings):
        return []
    names = ", ".join(settings.audience)
    host = socket.getfqdn().lower().removesuffix(".")
    if host in settings.audience:
        return [Finding.ok("audience", f"{names}: this host's own name is among them")]
    return [
        Finding.warning(
            "audience",
            f"tokens must name {names}; this host calls itself {host}",
            "that is right if clients use another name; otherwise set NMOS_AUTH_AUDIENCE",
        )
    ]


async def find_issuers(settings: Settings) -> tuple[list[IssuerUrl], list[Finding]]:
    """Return the issuers to check: those of the settings, or those that DNS-SD advertises."""
    named = [
        IssuerUrl.parse(url, allow_http=True)
        for url in (*settings.servers, *settings.trusted_issuers)
    ]
    if settings.servers or settings.discovery is Discovery.OFF:
        return named, []
    where = settings.dns_domain or "the resolver's search domains"
    try:
        found = await discover(
            settings.discovery, settings.dns_domain, dns_servers=settings.dns_servers
        )
    except (ConfigurationError, DiscoveryError) as error:
        cure = (
            "set NMOS_AUTH_SERVERS, or correct DNS: `_nmos-auth._tcp` needs PTR, SRV and TXT"
            " records"
        )
        return named, [Finding.failure("DNS-SD", str(error), cure)]
    if not found:
        return named, [
            Finding.failure(
                "DNS-SD",
                f"no Authorization Server is advertised ({settings.discovery.value}, {where})",
                "advertise `_nmos-auth._tcp`, set NMOS_AUTH_DNS_DOMAIN, or set NMOS_AUTH_SERVERS",
            )
        ]
    findings = [Finding.ok("DNS-SD", f"{each.url} is advertised, pri {each.pri}") for each in found]
    return [*named, *(IssuerUrl.parse(each.url, allow_http=True) for each in found)], findings


def read_client() -> tuple[ClientSettings | None, list[Finding]]:
    """Read the settings of a client from the environment; None if no client is configured."""
    try:
        settings = ClientSettings()
    except ConfigurationError as error:
        return None, [Finding.failure("client", str(error), correct_form(str(error)))]
    if settings.name is None and settings.id is None:
        return None, [Finding.ok("client", "no client is configured (NMOS_AUTH_CLIENT_NAME)")]
    return settings, []


def check_client(settings: ClientSettings, issuers: Sequence[IssuerUrl]) -> list[Finding]:
    """Check that this host has what a registration requires."""
    findings = []
    if settings.id is None and settings.store is None:
        findings.append(
            Finding.warning(
                "client",
                "NMOS_AUTH_CLIENT_STORE is not set: each start registers another client",
                "set it to a file in a directory of this user",
            )
        )
    if settings.auth_method is AuthMethod.PRIVATE_KEY_JWT and settings.jwks_uri is None:
        findings.append(
            Finding.failure(
                "client",
                "private_key_jwt requires a URL at which servers fetch this client's public keys",
                "set NMOS_AUTH_CLIENT_JWKS_URI to the URL of your jwks_route()",
            )
        )
    if not settings.scope:
        findings.append(
            Finding.warning(
                "client",
                "no scope is configured",
                "set NMOS_AUTH_CLIENT_SCOPE to registration, for example",
            )
        )
    if not issuers:
        findings.append(
            Finding.failure("client", "no Authorization Server is known", "see DNS-SD above")
        )
    return findings or [Finding.ok("client", f"{settings.name or settings.id} can register")]

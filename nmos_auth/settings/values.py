"""The types of settings: which values are valid, and the messages for those that are not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from nmos_auth.rules.audience import server_name
from nmos_auth.servers.access import Proxy
from nmos_auth.servers.certificates import TlsFiles, tls_context
from nmos_auth.servers.grammar import B64TOKEN, VSCHARS
from nmos_auth.servers.private_files import FileRefused, PrivateFile
from nmos_auth.servers.urls import IssuerUrl, Origin

__all__ = [
    "AuditDestination",
    "BearerToken",
    "CertificateFile",
    "ClientId",
    "ClientSecret",
    "Discovery",
    "DnsServers",
    "DomainName",
    "ExpiredSockets",
    "IssuerPolicy",
    "Issuers",
    "KeptFile",
    "Origins",
    "ProxyUrl",
    "ReadFile",
    "ServerNames",
    "UserAgent",
    "listed",
    "listed_paths",
    "require_https",
]

_USER = re.compile(r"//[^/]*@")
_NOT_VSCHARS = (
    "it has a line break or another character that no {0} has (RFC 6749 Appendix {1}); write only"
    " the {0}"
)
_AUDIT_WORDS = ("stderr", "stdout", "logging", "off")
_WELL_KNOWN = re.compile(r"(https?://[^/]+)(/.*)?/\.well-known/[^/]+(/.*)?")
_DNS_SERVER = re.compile(
    r"\[(?P<six>[^\]]+)\](?::(?P<port6>[0-9]+))?|(?P<four>[0-9.]+):(?P<port4>[0-9]+)"
)
# RFC 9110 Section 5.5: field values are printable, and do not begin or end with white space.
_FIELD_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


class Discovery(StrEnum):
    """How Authorization Servers are found while SERVERS is empty."""

    UNICAST = "unicast"
    MULTICAST = "multicast"
    BOTH = "both"
    OFF = "off"


class IssuerPolicy(StrEnum):
    """Which tokens are accepted in addition to those of SERVERS and TRUSTED_ISSUERS."""

    SAME_HOST = "same-host"
    CONFIGURED = "configured"


class ExpiredSockets(StrEnum):
    """What happens to an open WebSocket whose token is no longer valid."""

    KEEP = "keep"
    CLOSE = "close"


def listed(value: object) -> object:
    """Split a comma-separated list of names or URLs, none of which has white space or a semicolon.

    Raises:
        ValueError: an entry has one, as where something else separates entries; or as in
            `listed_paths`.
    """
    if isinstance(value, str) and any(
        each == ";" or each.isspace() for entry in _split(value) for each in entry
    ):
        raise ValueError(
            "it has a space, a line break or a semicolon; separate its entries by commas"
        )
    return listed_paths(value)


def listed_paths(value: object) -> object:
    """Split a comma-separated list of paths, which may have spaces.

    Raises:
        ValueError: there are only commas and white space, as where a template's variables are not
            set. As an empty list, that might mean discovery, and so other servers that are trusted.
    """
    if not isinstance(value, str):
        return value
    entries = _split(value)
    if not entries and value:
        raise ValueError("it has only commas or white space; name entries, or leave it empty")
    return entries


def _split(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def require_https(variable: str, urls: Iterable[str | None], *, allow_http: bool) -> None:
    """Refuse http outside development.

    Raises:
        ValueError: one of the URLs is not https; the message begins with `variable`.
    """
    for url in urls:
        if url is not None and not (allow_http or url.startswith("https://")):
            raise ValueError(
                f"{variable}: {url} is not https; use https, or set NMOS_AUTH_ALLOW_HTTP=true, for"
                " development only"
            )


def _shown(url: str) -> str:
    return repr(_USER.sub("//…@", url))


def _issuers(urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        if (well_known := _WELL_KNOWN.fullmatch(url)) is not None:
            issuer = "".join(part or "" for part in well_known.groups())
            raise ValueError(
                f"{_shown(url)} is the URL of the server's metadata; write its issuer, {issuer}"
            )
        try:
            IssuerUrl.parse(url, allow_http=True)
        except ValueError as error:
            raise ValueError(
                f"{_shown(url)} is not an issuer URL: {error}. Write https://HOST[:PORT][/PATH],"
                " exactly as `issuer` in the server's metadata; the path must not have escapes,"
                " empty segments or `;`"
            ) from None
    return urls


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    reduced = [(name, server_name(name)) for name in names]
    for name, host in reduced:
        if host is None:
            raise ValueError(
                f"{name!r} is not a host name or an address; write names like node1.example.com,"
                " without a port or a path"
            )
    return tuple(host for _, host in reduced if host is not None)


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_origin, origins))


def _origin(origin: str) -> str:
    """Return an origin as browsers write it."""
    if origin == "*":
        return origin
    try:
        # Browsers do not write a slash after an origin, so it is removed here.
        return str(Origin.parse(f"{origin}/"))
    except ValueError as error:
        raise ValueError(
            f"{_shown(origin)} is not an origin: {error}; write https://HOST[:PORT] or *"
        ) from None


def _written_beside(path: Path | None) -> Path | None:
    try:
        return _checked_place(path)
    except OSError as error:
        # For example a name that is too long, or a directory that this user may not read.
        raise ValueError(f"{str(path)!r:.100}: {error.strerror}; use another path") from None


def _checked_place(path: Path | None) -> Path | None:
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"the directory {path.parent} does not exist; make it first")
    if path is not None and path.is_dir():
        raise ValueError(f"{path} is a directory; write the path of a file")
    return path


def _readable(path: Path | None) -> Path | None:
    if path is not None:
        try:
            PrivateFile(path, setting="", secret=False).examine()
        except FileNotFoundError:
            raise ValueError(f"{path} does not exist") from None
        except FileRefused as error:
            raise ValueError(error.why) from None
    return path


def _domain(name: str | None) -> str | None:
    if name is not None and (server_name(name) is None or ":" in name):
        raise ValueError(f"{name!r} is not a domain name; write one like example.com")
    return name


def _certificates(path: Path | None) -> Path | None:
    if path is not None:
        tls_context(TlsFiles(path))
    return path


def _audit_destination(destination: str) -> str:
    if "/" in destination:
        _written_beside(Path(destination))
    elif destination not in _AUDIT_WORDS:
        raise ValueError(
            f"{destination!r} is neither {', '.join(_AUDIT_WORDS)} nor a path with a slash in it;"
            f" for a file in the working directory write ./{destination}"
        )
    return destination


def _proxy(url: SecretStr | None) -> SecretStr | None:
    if url is not None:
        Proxy.parse(url.get_secret_value())
    return url


def _bearer_token(token: SecretStr | None) -> SecretStr | None:
    if token is not None and not B64TOKEN.fullmatch(text := token.get_secret_value()):
        if text.lower().startswith("bearer "):
            raise ValueError("it begins with `Bearer`; write only the token behind it")
        raise ValueError(
            "it has a space, a line break, a quote or another character that no token has (RFC 6750"
            " Section 2.1); write only the token"
        )
    return token


def _client_id(text: str | None) -> str | None:
    if text is not None and not VSCHARS.fullmatch(text):
        raise ValueError(_NOT_VSCHARS.format("client id", "A.1"))
    return text


def _client_secret(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None and not VSCHARS.fullmatch(secret.get_secret_value()):
        raise ValueError(_NOT_VSCHARS.format("client secret", "A.2"))
    return secret


def _user_agent(text: str) -> str:
    if not _FIELD_VALUE.fullmatch(text):
        raise ValueError("it is not printable ASCII, as the value of an HTTP header must be")
    return text


def _dns_servers(servers: tuple[str, ...]) -> tuple[str, ...]:
    for server in servers:
        match = _DNS_SERVER.fullmatch(server)
        address = server if match is None else match["six"] or match["four"]
        port = match and (match["port6"] or match["port4"])
        try:
            ip_address(address)
            usable = not port or 0 < int(port) < 65536
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(
                f"{server!r} is not the address of a DNS server; write 192.0.2.53, 2001:db8::53 or,"
                " with a port, 192.0.2.53:5353 or [2001:db8::53]:5353"
            )
    return servers


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)]
Issuers = Annotated[Listed, AfterValidator(_issuers)]
ServerNames = Annotated[Listed, AfterValidator(_names)]
Origins = Annotated[Listed, AfterValidator(_origins)]
DnsServers = Annotated[Listed, AfterValidator(_dns_servers)]
DomainName = Annotated[str | None, AfterValidator(_domain)]
CertificateFile = Annotated[Path | None, AfterValidator(_certificates)]
ReadFile = Annotated[Path | None, AfterValidator(_readable)]
KeptFile = Annotated[Path | None, AfterValidator(_written_beside)]
AuditDestination = Annotated[str, AfterValidator(_audit_destination)]
ProxyUrl = Annotated[SecretStr | None, AfterValidator(_proxy)]
UserAgent = Annotated[str, AfterValidator(_user_agent)]
BearerToken = Annotated[SecretStr | None, AfterValidator(_bearer_token)]
ClientId = Annotated[str | None, AfterValidator(_client_id)]
ClientSecret = Annotated[SecretStr | None, AfterValidator(_client_secret)]

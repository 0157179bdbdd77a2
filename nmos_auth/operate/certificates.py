"""What a TLS server shows: versions, and a certificate with its signer and its time."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from nmos_auth.operate.findings import Finding

__all__ = ["tls_findings"]

_DEADLINE = 5.0
_SOON = 14 * 86400.0
_OLD_VERSIONS = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)


@dataclass(frozen=True, slots=True)
class _Certificate:
    """One X.509 certificate.

    Attributes:
        subject: its subject, as the common name or in full.
        issuer: its signer, as the common name or in full.
        names: the DNS names and IP addresses for which it is valid.
        not_before: seconds since 1970 UTC.
        not_after: seconds since 1970 UTC.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float


def _unverified_context() -> ssl.SSLContext:
    # This is only for reading the certificate: no data is sent over such a connection.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _look_at(
    host: str, port: int, *, context: ssl.SSLContext | None = None
) -> _Certificate | None:
    """Make a TLS handshake within five seconds, close the connection, and return the certificate.

    It is None if there is none, or a malformed one.

    Args:
        host: name or address.
        port: TCP port.
        context: the TLS context; None for one that verifies nothing.

    Raises:
        OSError: the connection or the handshake failed; ssl.SSLError and TimeoutError are such
            errors.
    """
    async with asyncio.timeout(_DEADLINE):
        _, writer = await asyncio.open_connection(
            host, port, ssl=context or _unverified_context(), server_hostname=host
        )
        try:
            tls = writer.get_extra_info("ssl_object")
            der = tls.getpeercert(binary_form=True)
            return _certificate(der)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _certificate(der: bytes | None) -> _Certificate | None:
    if der is None:
        return None
    try:
        return _read(x509.load_der_x509_certificate(der))
    except ValueError:
        return None


def _read(loaded: x509.Certificate) -> _Certificate:
    names: list[str] = []
    with contextlib.suppress(x509.ExtensionNotFound, ValueError):
        extension = loaded.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        ).value
        assert isinstance(extension, x509.SubjectAlternativeName)  # noqa: S101 - by its OID
        names += extension.get_values_for_type(x509.DNSName)
        names += map(str, extension.get_values_for_type(x509.IPAddress))
    return _Certificate(
        subject=_common_name(loaded.subject),
        issuer=_common_name(loaded.issuer),
        names=tuple(names),
        not_before=loaded.not_valid_before_utc.timestamp(),
        not_after=loaded.not_valid_after_utc.timestamp(),
    )


def _common_name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


async def tls_findings(
    subject: str,
    host: str,
    port: int,
    context: ssl.SSLContext,
    *,
    ca_file: Path | None,
    names: Sequence[str],
    versions: bool,
    now: float,
) -> list[Finding]:
    """Check that a server speaks TLS, with a certificate that its clients accept.

    Args:
        subject: what the findings are about.
        host: name or address.
        port: TCP port.
        context: verifies its certificate.
        ca_file: the root certificates of `context`; None for the system's.
        names: the names under which clients know the server, in addition to `host`.
        versions: whether to check which versions of TLS it speaks.
        now: seconds since 1970 UTC.
    """
    try:
        certificate = await _look_at(host, port)
    except ssl.SSLError as error:
        text = f"port {port} does not speak TLS ({error.reason or error})"
        return [Finding.failure(subject, text, "check the port, and that it serves https")]
    except TimeoutError:
        cure = "check name, port and firewall"
        return [Finding.failure(subject, "no connection within five seconds", cure)]
    except OSError as error:
        cure = "check that the server runs, and its name and port"
        return [Finding.failure(subject, f"no connection: {error.strerror or error}", cure)]
    findings = []
    try:
        await _look_at(host, port, context=context)
    except ssl.SSLError as error:
        text = _verify_failure(error, certificate, ca_file)
        cure = "set NMOS_AUTH_CA_FILE to a PEM file with the root certificate of its signer"
        findings.append(Finding.failure(subject, text, cure))
    except OSError as error:
        text = f"no second connection: {str(error) or 'none within five seconds'}"
        findings.append(Finding.failure(subject, text, "try again"))
    if certificate is not None:
        findings += _certificate_findings(subject, certificate, names, now)
    if versions:
        findings += await _version_findings(subject, host, port)
    return findings


def _verify_failure(
    error: Exception, certificate: _Certificate | None, ca_file: Path | None
) -> str:
    """Return a sentence with the reason of a failed verification, and the missing certificate.

    Args:
        error: the error of the verified handshake.
        certificate: what an unverified handshake showed, or None.
        ca_file: the root certificates that were used; None for the system's.
    """
    reason = getattr(error, "verify_message", "") or str(error) or type(error).__name__
    roots = f"the certificates in {ca_file}" if ca_file else "the system's root certificates"
    signed = ""
    if certificate is not None:
        signed = f"; its certificate for {certificate.subject} is signed by {certificate.issuer!r}"
    return f"its certificate is not accepted by {roots} ({reason}){signed}"


def _certificate_findings(
    subject: str, certificate: _Certificate, names: Sequence[str], now: float
) -> list[Finding]:
    """Check a certificate's time, and the names that clients use.

    Args:
        subject: what the findings are about.
        certificate: the certificate of the server.
        names: the names under which clients know the server.
        now: seconds since 1970 UTC.
    """
    until = datetime.fromtimestamp(certificate.not_after, UTC).strftime("%Y-%m-%d %H:%M UTC")
    findings = []
    if now >= certificate.not_after:
        text = f"its certificate expired at {until}"
        findings.append(Finding.failure(subject, text, "renew the certificate"))
    elif now < certificate.not_before:
        cure = "check this host's clock, then the certificate"
        findings.append(Finding.failure(subject, "its certificate is not valid yet", cure))
    elif certificate.not_after - now < _SOON:
        text = f"its certificate expires at {until}"
        findings.append(Finding.warning(subject, text, "renew the certificate now"))
    else:
        text = f"its certificate is valid until {until}, signed by {certificate.issuer!r}"
        findings.append(Finding.ok(subject, text))
    for name in names:
        if not any(_covers(entry, name) for entry in certificate.names):
            listed = ", ".join(certificate.names) or "no name at all"
            findings.append(
                Finding.failure(
                    subject,
                    f"its certificate is for {listed}, and not for {name}",
                    f"issue a certificate whose subjectAltName has {name}, or use another name",
                )
            )
    return findings


def _covers(entry: str, name: str) -> bool:
    """Tell whether a name in a certificate covers `name` (RFC 6125 Section 6.4.3)."""
    entry, name = entry.lower().removesuffix("."), name.lower().removesuffix(".")
    if entry.startswith("*."):
        label, dot, rest = name.partition(".")
        return bool(label and dot) and rest == entry[2:]
    return entry == name


async def _version_findings(subject: str, host: str, port: int) -> list[Finding]:
    """Check that a server accepts TLS 1.2 and 1.3, and no older version (BCP-003-01).

    Args:
        subject: what the findings are about.
        host: name or address.
        port: TCP port.
    """
    findings = []
    for version in (*_OLD_VERSIONS, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        spoken = await _speaks(host, port, version)
        name = version.name.replace("TLSv1_", "TLS 1.").replace("TLSv1", "TLS 1.0")
        if version in _OLD_VERSIONS and spoken:
            findings.append(
                Finding.failure(subject, f"it speaks {name}", "allow TLS 1.2 and 1.3 only")
            )
        elif version is ssl.TLSVersion.TLSv1_2 and not spoken:
            findings.append(
                Finding.failure(
                    subject,
                    "it does not speak TLS 1.2, which BCP-003-01 requires of every server",
                    "enable TLS 1.2",
                )
            )
        elif version is ssl.TLSVersion.TLSv1_3 and not spoken:
            findings.append(
                Finding.warning(subject, "it does not speak TLS 1.3", "enable TLS 1.3 as well")
            )
    if not findings:
        findings.append(Finding.ok(subject, "it speaks TLS 1.2 and 1.3, and nothing older"))
    return findings


async def _speaks(host: str, port: int, version: ssl.TLSVersion) -> bool:
    context = _unverified_context()
    with contextlib.suppress(ssl.SSLError), warnings.catch_warnings():
        # Distributions forbid old versions, and Python warns of them; this tests the server.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
    try:
        await _look_at(host, port, context=context)
    except OSError:
        return False
    return True

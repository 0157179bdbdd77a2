"""TLS as BCP-003-01 "Secure Communication" requires it of servers."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

__all__ = ["CIPHER_SUITES", "server_context", "strict_transport_security"]

CIPHER_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "DHE-RSA-AES128-GCM-SHA256",
    "DHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-RSA-AES256-SHA384",
    "DHE-RSA-AES128-SHA256",
    "DHE-RSA-AES256-SHA256",
)
"""The suites of "TLS 1.2 Cipher Suites" in its order, with OpenSSL's names.

TLS 1.3 has its own list, which Python before 3.15 cannot change. OpenSSL offers the three suites
that BCP-003-01 names and prefers AES-256, unless its configuration (OPENSSL_CONF) differs.
"""

_DH_PARAMETERS = str(Path(__file__).with_name("ffdhe3072.dh"))  # RFC 7919 Appendix A.2


def server_context(certificates: Iterable[tuple[Path, Path]]) -> ssl.SSLContext:
    """Make the TLS context of a Node, a Registry or an Authorization Server.

    Python's `ssl` cannot do OCSP stapling, which BCP-003-01 recommends; a TLS proxy in front can.

    Args:
        certificates: PEM files, each a certificate with its chain, and its unencrypted private key.
            Of several with the same kind of key, the last is served. Without an RSA certificate,
            ECDHE-RSA-AES128-GCM-SHA256 is missing, which every Client and Server must support.

    Raises:
        OSError: a file cannot be read, or is not a certificate with its key.

        >>> server_context([(Path("rsa.crt"), Path("rsa.key")), (Path("ec.crt"), Path("ec.key"))])
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHER_SUITES))
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_NO_COMPRESSION
    context.load_dh_params(_DH_PARAMETERS)
    for certificate, key in certificates:
        try:
            # Each pair is loaded alone first: beside another pair, OpenSSL does not notice a key
            # that does not belong to its certificate.
            for each in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
                # Without this, OpenSSL would ask on the terminal for the password of a key.
                each.load_cert_chain(certificate, key, password="")
        except OSError as error:
            raise OSError(
                f"the TLS certificate {certificate} and key {key} cannot be used: {error}"
            ) from error
    return context


def strict_transport_security(max_age: int) -> list[tuple[str, str]]:
    """Return the header of RFC 6797 for every answer over TLS.

    Args:
        max_age: the seconds for which Clients use only https; 0 for no header.
    """
    return [("Strict-Transport-Security", f"max-age={max_age}")] if max_age else []

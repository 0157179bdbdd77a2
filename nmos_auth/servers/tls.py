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
"""The suites of "TLS 1.2 Cipher Suites" and no others, in its order, by OpenSSL's names.

TLS 1.3 has its own list, which Python before 3.15 cannot change: OpenSSL offers the three suites
that BCP-003-01 names and prefers AES-256, unless its configuration, OPENSSL_CONF, says otherwise.
"""

_DH_PARAMETERS = str(Path(__file__).with_name("ffdhe3072.dh"))  # RFC 7919 Appendix A.2


def server_context(certificates: Iterable[tuple[Path, Path]]) -> ssl.SSLContext:
    """Make the TLS context of a Node, a Registry or an Authorization Server.

    OCSP stapling, which BCP-003-01 recommends, is beyond Python's `ssl`; a TLS proxy in front can
    add it.

    Args:
        certificates: PEM files, each a certificate with its chain, and its unencrypted private key.
            One of each kind of key is served, the last. Without an RSA certificate the TLS 1.2
            suite that every Client and Server must have, ECDHE-RSA-AES128-GCM-SHA256, is missing.

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
            # By itself first: beside another one, OpenSSL does not see that a key is not its own.
            for each in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
                # Without a password it would ask for an encrypted key's on the terminal.
                each.load_cert_chain(certificate, key, password="")
        except OSError as error:
            raise OSError(
                f"the TLS certificate {certificate} and key {key} cannot be used: {error}"
            ) from error
    return context


def strict_transport_security(max_age: int) -> list[tuple[str, str]]:
    """Return the header of RFC 6797, if any, that goes with every answer over TLS.

    Args:
        max_age: for how many seconds Clients are to use https only; 0 for no header at all.
    """
    return [("Strict-Transport-Security", f"max-age={max_age}")] if max_age else []

"""A certificate authority for the tests, made on the spot."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

__all__ = ["TestAuthority"]


@dataclass(frozen=True)
class TestAuthority:
    """A root certificate and, for names asked for, server certificates."""

    __test__ = False

    root: trustme.CA
    directory: Path

    @classmethod
    def create(cls, directory: Path) -> TestAuthority:
        """Make a new root, and write its certificate to `directory`."""
        authority = cls(trustme.CA(key_type=trustme.KeyType.ECDSA), directory)
        authority.root.cert_pem.write_to_path(authority.ca_file)
        return authority

    @property
    def ca_file(self) -> Path:
        """The root certificate in PEM."""
        return self.directory / "root.crt"

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Return a server's TLS context with a certificate for `names`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.root.issue_cert(*names).configure_cert(context)
        return context

    def write_server_files(
        self, *names: str, key_type: trustme.KeyType = trustme.KeyType.ECDSA
    ) -> tuple[Path, Path]:
        """Write a certificate for `names` with its chain, and its private key, in PEM."""
        issued = self.root.issue_cert(*names, key_type=key_type)
        certificate = self.directory / f"{names[0]}.{key_type.name}.crt"
        key = certificate.with_suffix(".key")
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    def client_context(self) -> ssl.SSLContext:
        """Return a client's TLS context that trusts this root only."""
        return ssl.create_default_context(cafile=self.ca_file)

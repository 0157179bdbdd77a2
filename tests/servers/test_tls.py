"""TLS as BCP-003-01 wants it of Servers, in real handshakes with Python's and OpenSSL's clients."""

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal, localcontext
from pathlib import Path
from shutil import which

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_der_x509_certificate
from fastapi import FastAPI

from nmos_auth.servers import tls
from tests.support.servers import serving
from tests.support.tls import TestAuthority

NAME = "localhost"

# BCP-003-01 "TLS 1.2 Cipher Suites", in its order, and the names that OpenSSL has for them.
SUITES = (
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "ECDHE-ECDSA-AES128-SHA256"),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "ECDHE-ECDSA-AES256-SHA384"),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
    ("TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "DHE-RSA-AES128-GCM-SHA256"),
    ("TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", "DHE-RSA-AES256-GCM-SHA384"),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256"),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", "ECDHE-RSA-AES256-SHA384"),
    ("TLS_DHE_RSA_WITH_AES_128_CBC_SHA256", "DHE-RSA-AES128-SHA256"),
    ("TLS_DHE_RSA_WITH_AES_256_CBC_SHA256", "DHE-RSA-AES256-SHA256"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    """A certificate authority with a directory for this module's files."""
    return TestAuthority.create(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def rsa(files: TestAuthority) -> tuple[Path, Path]:
    """An RSA certificate with its chain, and its key."""
    return files.write_server_files(NAME, key_type=trustme.KeyType.RSA)


@pytest.fixture(scope="module")
def ecdsa(files: TestAuthority) -> tuple[Path, Path]:
    """An ECDSA certificate with its chain, and its key."""
    return files.write_server_files(NAME, key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="module")
def server(rsa: tuple[Path, Path], ecdsa: tuple[Path, Path]) -> ssl.SSLContext:
    """The Node's TLS context, with both certificates."""
    return tls.server_context([rsa, ecdsa])


def connect(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Shake hands in memory, and return the client's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_end = client.wrap_bio(to_client, to_server, server_hostname=NAME)
    server_end = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (client_end, server_end):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return client_end


def tls12_client(files: TestAuthority, suites: str) -> ssl.SSLContext:
    """A client of TLS 1.2 that has some cipher suites only."""
    client = files.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suites)
    return client


def suite_of(connection: ssl.SSLObject) -> str:
    """The cipher suite of a connection, by OpenSSL's name."""
    cipher = connection.cipher()
    assert cipher is not None
    return cipher[0]


def public_key_of(connection: ssl.SSLObject) -> object:
    """The key in the certificate that the server showed."""
    certificate = connection.getpeercert(binary_form=True)
    assert certificate is not None
    return load_der_x509_certificate(certificate).public_key()


@pytest.mark.parametrize(("name", "suite"), SUITES, ids=[name for name, _ in SUITES])
def test_every_suite_of_tls_12_is_served(
    server: ssl.SSLContext, files: TestAuthority, name: str, suite: str
) -> None:
    """A client that has this suite alone is served, by the certificate that goes with it."""
    connection = connect(server, tls12_client(files, suite))
    assert (connection.version(), suite_of(connection)) == ("TLSv1.2", suite)
    kind = EllipticCurvePublicKey if "_ECDSA_" in name else RSAPublicKey
    assert isinstance(public_key_of(connection), kind)
    assert connection.compression() is None


@pytest.mark.parametrize(
    "suite",
    [
        "AES128-GCM-SHA256",
        "AES256-SHA256",
        "AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "DHE-RSA-AES256-SHA",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-RSA-NULL-SHA:@SECLEVEL=0",
        "AECDH-AES128-SHA:@SECLEVEL=0",
    ],
)
def test_no_other_suite_is_served(server: ssl.SSLContext, files: TestAuthority, suite: str) -> None:
    """No static RSA, SHA-1, NULL or anonymous suite, nor any that the list does not have."""
    with pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):
        connect(server, tls12_client(files, suite))


def test_the_server_has_the_preference(server: ssl.SSLContext, files: TestAuthority) -> None:
    """Of what a client offers, in whatever order, the server takes what is first in its list."""
    suites = [suite for _, suite in SUITES]
    for first in range(len(suites)):
        client = tls12_client(files, ":".join(reversed(suites[first:])))
        assert suite_of(connect(server, client)) == suites[first]


def test_tls_13_is_served(server: ssl.SSLContext, files: TestAuthority) -> None:
    """Both ends take the newest version that both have."""
    assert connect(server, files.client_context()).version() == "TLSv1.3"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_refused(
    server: ssl.SSLContext, files: TestAuthority, version: ssl.TLSVersion
) -> None:
    """TLS 1.0 and 1.1 SHALL NOT be used."""
    client = tls12_client(files, "ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        client.minimum_version = client.maximum_version = version
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        connect(server, client)


def test_one_certificate_serves_too(files: TestAuthority, rsa: tuple[Path, Path]) -> None:
    """With an RSA certificate alone, the mandatory suite is there."""
    client = tls12_client(files, "ECDHE-RSA-AES128-GCM-SHA256")
    assert connect(tls.server_context([rsa]), client).version() == "TLSv1.2"


def test_a_key_of_another_certificate_is_refused_by_name(
    rsa: tuple[Path, Path], ecdsa: tuple[Path, Path]
) -> None:
    """The error says which of the files do not fit."""
    with pytest.raises(OSError, match=f"{ecdsa[0]} and key {rsa[1]} cannot be used"):
        tls.server_context([rsa, (ecdsa[0], rsa[1])])


def test_an_encrypted_key_is_refused(rsa: tuple[Path, Path], tmp_path: Path) -> None:
    """Nobody is there to type a password, so none is waited for."""
    key = load_pem_private_key(rsa[1].read_bytes(), None)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password"))
    )
    with pytest.raises(OSError, match="cannot be used"):
        tls.server_context([(rsa[0], encrypted)])


def test_the_diffie_hellman_group_is_that_of_rfc_7919() -> None:
    """Computed from the formula in Appendix A.2, which leaves nothing to choose."""
    with localcontext(prec=1000):
        digits_of_e = int(Decimal(1).exp() * 2**2942)
    prime = 2**3072 - 2**3008 + (digits_of_e + 2625351) * 2**64 - 1
    pem = Path(tls.__file__).with_name("ffdhe3072.dh").read_text()
    der = ssl.PEM_cert_to_DER_cert(pem.replace("DH PARAMETERS", "CERTIFICATE"))
    # A sequence (0x30) of two integers (0x02), the prime and the generator 2 (PKCS #3).
    assert der == bytes.fromhex("30820188 0282018100") + prime.to_bytes(384) + b"\x02\x01\x02"


def test_strict_transport_security_can_be_adjusted_and_disabled() -> None:
    """RFC 6797 Section 6.1: `max-age` in seconds; zero seconds is a header that goes unsaid."""
    assert tls.strict_transport_security(60) == [("Strict-Transport-Security", "max-age=60")]
    assert tls.strict_transport_security(0) == []


@pytest.fixture(scope="module")
def port(server: ssl.SSLContext) -> Iterator[int]:
    """The port of a web server with the Node's TLS context."""
    with serving(FastAPI(), tls=server) as port:
        yield port


def s_client(port: int, ca_file: Path, *options: str, typed: str = "") -> str:
    """What `openssl s_client` says of a connection, on which it types `typed`."""
    command = ["openssl", "s_client", "-connect", f"{NAME}:{port}", "-CAfile", str(ca_file)]
    finished = subprocess.run(
        [*command, "-verify_return_error", *options],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return finished.stdout + finished.stderr


needs_openssl = pytest.mark.skipif(which("openssl") is None, reason="there is no openssl command")


@needs_openssl
@pytest.mark.parametrize(
    "suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
)
def test_every_suite_of_tls_13_is_served(port: int, files: TestAuthority, suite: str) -> None:
    """A client that has this suite alone is served (BCP-003-01 "TLS 1.3 Cipher Suites")."""
    said = s_client(port, files.ca_file, "-tls1_3", "-ciphersuites", suite)
    assert f"Cipher is {suite}" in said
    assert "Verify return code: 0 (ok)" in said


@needs_openssl
@pytest.mark.parametrize(
    ("algorithms", "kind"), [("RSA-PSS+SHA256", "rsa"), ("ECDSA+SHA256", "ecdsa")]
)
def test_tls_13_has_both_certificates_too(
    port: int, files: TestAuthority, algorithms: str, kind: str
) -> None:
    """A client gets the certificate whose signature it can verify."""
    said = s_client(port, files.ca_file, "-tls1_3", "-sigalgs", algorithms)
    assert "Verify return code: 0 (ok)" in said
    assert f"peer signature type: {kind}" in said.lower()


@needs_openssl
def test_dhe_uses_the_large_group(port: int, files: TestAuthority) -> None:
    """A DHE suite has a temporary key of 3072 bits."""
    said = s_client(port, files.ca_file, "-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256")
    assert "Temp Key: DH, 3072 bits" in said


@needs_openssl
def test_neither_compression_nor_renegotiation(port: int, files: TestAuthority) -> None:
    """A client that wants to renegotiate (R) is refused, which ends the connection."""
    said = s_client(port, files.ca_file, "-tls1_2", typed="R\n")
    assert "Compression: NONE" in said
    assert "no renegotiation" in said

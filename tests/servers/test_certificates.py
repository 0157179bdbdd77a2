"""Certificates of Authorization Servers and towards them: read, refused, and read again."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from nmos_auth.servers.certificates import CertificateError, TlsFiles, TlsIdentity, tls_context

WRITTEN = 1_800_000_000
"""When files were written, in seconds since 1970 UTC."""


class Clock:
    """A clock that moves while somebody sleeps."""

    def __init__(self) -> None:
        self.time = WRITTEN + 3600.0
        self.during_sleep: Callable[[], object] = lambda: None

    def __call__(self) -> float:
        """Return the time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        self.time += seconds
        self.during_sleep()


def write(path: Path, content: bytes, *, at: float = WRITTEN, mode: int = 0o600) -> Path:
    """Write a file as if at a certain time."""
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(path, (at, at))
    return path


def roots_of(context: ssl.SSLContext) -> set[bytes]:
    """Return the roots that a context trusts, in DER."""
    return set(context.get_ca_certs(binary_form=True))


def root(authority: trustme.CA) -> bytes:
    """Return the root certificate of an authority, in DER."""
    return ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode())


@pytest.fixture(scope="module")
def authorities() -> list[trustme.CA]:
    """Return certificate authorities."""
    return [trustme.CA(key_type=trustme.KeyType.ECDSA) for _ in range(2)]


def test_roots_are_those_of_the_file_and_no_others(
    tmp_path: Path, authorities: list[trustme.CA]
) -> None:
    """With text in any language between them."""
    pems = [each.cert_pem.bytes() for each in authorities]
    path = write(tmp_path / "roots.pem", "Főtanúsítvány\n".encode().join([b"", *pems]), mode=0o644)
    assert roots_of(tls_context(TlsFiles(path))) == {root(each) for each in authorities}
    assert tls_context(TlsFiles(path)).verify_mode is ssl.CERT_REQUIRED
    assert tls_context(TlsFiles(path)).check_hostname


BAD: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"hello\n",
    "half": lambda pem: pem[: len(pem) // 2],
    "one and a half": lambda pem: pem + pem[: len(pem) // 2],
    "key": lambda pem: pem.replace(b"CERTIFICATE", b"PRIVATE KEY"),
    "rubbish": lambda _: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("how", BAD)
def test_what_is_not_whole_certificates_is_refused(
    tmp_path: Path, authorities: list[trustme.CA], how: str
) -> None:
    """The system's roots never stand in for an empty file."""
    path = write(tmp_path / "roots.pem", BAD[how](authorities[0].cert_pem.bytes()))
    with pytest.raises(CertificateError, match=r"roots\.pem"):
        tls_context(TlsFiles(path))


def test_a_file_that_others_may_write_is_refused(
    tmp_path: Path, authorities: list[trustme.CA]
) -> None:
    """Whoever writes roots there decides whose keys are fetched."""
    path = write(tmp_path / "roots.pem", authorities[0].cert_pem.bytes(), mode=0o666)
    with pytest.raises(CertificateError, match="other users could write"):
        tls_context(TlsFiles(path))


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(CertificateError, match=r"roots\.pem does not exist"):
        tls_context(TlsFiles(tmp_path / "roots.pem"))


def test_a_client_certificate_and_its_key_belong_together(
    tmp_path: Path, authorities: list[trustme.CA]
) -> None:
    """In two files or in one."""
    issued = [authorities[0].issue_cert("node1.example.com") for _ in range(2)]
    chains = [b"".join(blob.bytes() for blob in each.cert_chain_pems) for each in issued]
    keys = [each.private_key_pem.bytes() for each in issued]
    chain = write(tmp_path / "chain.pem", chains[0])
    tls_context(TlsFiles(None, chain, write(tmp_path / "key.pem", keys[0])))
    tls_context(TlsFiles(None, write(tmp_path / "both.pem", chains[0] + keys[0])))
    with pytest.raises(CertificateError, match="key values mismatch"):
        tls_context(TlsFiles(None, chain, write(tmp_path / "key.pem", keys[1])))
    with pytest.raises(CertificateError, match=r"chain\.pem"):
        tls_context(TlsFiles(None, chain))


async def test_roots_are_read_again_when_they_change(
    tmp_path: Path, authorities: list[trustme.CA]
) -> None:
    """And only then; those from before are trusted no longer."""
    clock, path = Clock(), tmp_path / "roots.pem"
    write(path, authorities[0].cert_pem.bytes())
    identity = TlsIdentity(TlsFiles(path), clock=clock, sleep=clock.sleep)
    first = await identity.context()
    assert roots_of(first) == {root(authorities[0])}
    assert await identity.context() is first
    write(path, authorities[1].cert_pem.bytes(), at=WRITTEN + 10)
    assert roots_of(await identity.context()) == {root(authorities[1])}


async def test_a_swapped_link_is_a_change(tmp_path: Path, authorities: list[trustme.CA]) -> None:
    """As Kubernetes renews what it has mounted."""
    for number, authority in enumerate(authorities):
        (tmp_path / str(number)).mkdir()
        write(tmp_path / str(number) / "roots.pem", authority.cert_pem.bytes())
    (tmp_path / "..data").symlink_to("0")
    identity = TlsIdentity(TlsFiles(tmp_path / "..data" / "roots.pem"), clock=Clock())
    assert roots_of(await identity.context()) == {root(authorities[0])}
    (tmp_path / "new").symlink_to("1")
    (tmp_path / "new").rename(tmp_path / "..data")
    assert roots_of(await identity.context()) == {root(authorities[1])}


@pytest.mark.parametrize("how", [*BAD, "missing", "planted"])
async def test_what_is_bad_does_not_replace_what_is_good(
    tmp_path: Path, authorities: list[trustme.CA], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, once for each change, and mended by the next."""
    clock, path = Clock(), tmp_path / "roots.pem"
    pem = authorities[0].cert_pem.bytes()
    write(path, pem)
    identity = TlsIdentity(TlsFiles(path), clock=clock, sleep=clock.sleep)
    good = await identity.context()
    if how == "missing":
        path.unlink()
    else:
        content = BAD[how](pem) if how in BAD else pem
        write(path, content, at=WRITTEN + 10, mode=0o666 if how == "planted" else 0o600)
    assert await identity.context() is good
    assert await identity.context() is good
    (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert str(path) in warning.getMessage()
    path.unlink(missing_ok=True)
    write(path, authorities[1].cert_pem.bytes(), at=WRITTEN + 20)
    assert roots_of(await identity.context()) == {root(authorities[1])}


async def test_a_file_that_is_being_written_is_waited_for(
    tmp_path: Path, authorities: list[trustme.CA]
) -> None:
    """One whole certificate of two looks whole; the second comes within the same second."""
    clock, path = Clock(), tmp_path / "roots.pem"
    pems = [each.cert_pem.bytes() for each in authorities]
    write(path, pems[0])
    identity = TlsIdentity(TlsFiles(path), clock=clock, sleep=clock.sleep)
    write(path, pems[1], at=clock())
    clock.during_sleep = lambda: write(path, pems[1] + pems[0], at=clock())
    assert roots_of(await identity.context()) == {root(each) for each in authorities}


async def test_nothing_is_asked_of_a_disk_without_files() -> None:
    """The system's roots stay as they are."""
    identity = TlsIdentity(TlsFiles())
    assert await identity.context() is await identity.context()

"""The files for TLS to Authorization Servers: trusted certificates, and a client certificate.

IS-10 "Discovery", Use with TLS: host names and the whole chain are checked.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nmos_auth.servers.private_files import FileRefused, PrivateFile

__all__ = ["CertificateError", "TlsFiles", "TlsIdentity", "tls_context"]

# Seconds for which a file must have been unchanged: before that, it may still be being copied.
_SETTLED = 1.0
_CA_FILE = "NMOS_AUTH_CA_FILE"
_CERTIFICATE = "NMOS_AUTH_CLIENT_CERTIFICATE"
_KEY = "NMOS_AUTH_CLIENT_CERTIFICATE_KEY"
_BEGIN = re.compile(rb"^-----BEGIN [A-Z0-9 ]+-----", re.MULTILINE)
_END = re.compile(rb"^-----END [A-Z0-9 ]+-----", re.MULTILINE)

logger = logging.getLogger("nmos_auth")


class CertificateError(ValueError):
    """A file is not what TLS needs; the message names it and says what is needed."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files that TLS connections to Authorization Servers need.

    Attributes:
        ca_file: root certificates; None for the system's.
        certificate: a client certificate with its chain; None for none.
        key: its private key; None where it is in the same file.
    """

    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are set."""
        return tuple(each for each in (self.ca_file, self.certificate, self.key) if each)


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Make a context that verifies certificates, by `ca_file` if it is set, else by the system's.

    Raises:
        CertificateError: a file may not be used, or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cadata=_roots(files.ca_file))
    except ssl.SSLError as error:
        reason = (error.reason or "no certificate").lower().replace("_", " ")
        raise CertificateError(
            f"{files.ca_file} does not hold PEM certificates ({reason}); name the file with the"
            " root certificates of the Authorization Servers"
        ) from None
    if files.certificate is not None:
        _identify(context, files.certificate, files.key)
    return context


class TlsIdentity:
    """The TLS context for Authorization Servers, made again when its files change.

    If a file cannot be read, or is incomplete, that is logged and the previous context is used.

    Args:
        files: the files.
        clock: seconds since 1970 UTC, as file systems have them.
        sleep: waits so many seconds, in a thread of its own.

    Raises:
        CertificateError: a file may not be used, or is not what it should be.
    """

    def __init__(
        self,
        files: TlsFiles,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._files = files
        self._clock = clock
        self._sleep = sleep
        self._seen = self._signature()
        self._context = tls_context(files) if files.paths else None
        self._reading = False

    async def context(self) -> ssl.SSLContext:
        """Return the context for the next connection: the previous one while a disk is slow."""
        if self._context is None:
            # Without files there is nothing to check at the start, and reading the system's
            # certificates takes 15 ms.
            return self._first(await asyncio.to_thread(tls_context, self._files))
        if self._files.paths and not self._reading:
            self._reading = True
            await asyncio.to_thread(self._read_again)
        return self._context

    def _first(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Keep a context, and return the one that was kept first."""
        if self._context is None:
            self._context = context
        return self._context

    def _read_again(self) -> None:
        try:
            if self._signature() != self._seen:
                self._change()
        finally:
            self._reading = False

    def _change(self) -> None:
        # A file that was changed within this second may be incomplete.
        signature = self._signature()
        changed = max((each[0] for each in signature if each is not None), default=0) / 1e9
        if 0 <= (age := self._clock() - changed) < _SETTLED:
            self._sleep(_SETTLED - age)
            signature = self._signature()
        self._seen = signature
        try:
            self._context = tls_context(self._files)
        except CertificateError as error:
            logger.warning("the certificates that were read before are still used: %s", error)
        else:
            logger.info("certificates were read again: %s", ", ".join(map(str, self._files.paths)))

    def _signature(self) -> tuple[tuple[int, int, int, int] | None, ...]:
        return tuple(_signature(path) for path in self._files.paths)


def _signature(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_dev, status.st_ino, status.st_size


def _roots(path: Path | None) -> str | None:
    if path is None:
        return None
    content = _whole(PrivateFile(path, setting=_CA_FILE, secret=False))
    # Text between the certificates may be in any encoding, and OpenSSL ignores it.
    return content.decode("latin-1").encode("ascii", "replace").decode()


def _whole(file: PrivateFile) -> bytes:
    try:
        content = file.read()
    except FileNotFoundError:
        raise CertificateError(f"{file.path} does not exist") from None
    except FileRefused as error:
        raise CertificateError(error.why) from None
    begun, ended = len(_BEGIN.findall(content)), len(_END.findall(content))
    if begun != ended or not begun:
        raise CertificateError(
            f"{file.path} does not hold whole PEM blocks from `-----BEGIN …-----` to"
            " `-----END …-----`"
        )
    return content


def _identify(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Have `context` present a client certificate."""
    chain = PrivateFile(certificate, setting=_CERTIFICATE, secret=key is None)
    private = chain if key is None else PrivateFile(key, setting=_KEY, secret=True)
    for file in {chain, private}:
        _whole(file)
    try:
        with chain.opened() as opened, private.opened() as opened_key:
            # OpenSSL accepts only paths; these lead to the files that were examined. With an empty
            # password it fails on an encrypted key, instead of asking for one on the terminal.
            context.load_cert_chain(f"/dev/fd/{opened}", f"/dev/fd/{opened_key}", password="")
        private.keep_private()
    except ssl.SSLError as error:
        reason = (error.reason or "not a PEM certificate and its key").lower().replace("_", " ")
        raise CertificateError(f"{certificate} and its key cannot be used: {reason}") from None
    except OSError as error:
        raise CertificateError(f"{certificate} cannot be opened: {error.strerror}") from None

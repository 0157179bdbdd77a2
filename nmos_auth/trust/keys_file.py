"""The last good keys on disk, so that a restart without any Authorization Server still works."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nmos_auth.errors import ConfigurationError, KeySetError
from nmos_auth.servers.members import moment, text
from nmos_auth.servers.private_files import FilePlanted, FileRefused, PrivateFile
from nmos_auth.servers.strict_json import parse_object
from nmos_auth.trust.jwks import VerificationKey, parse_jwks

__all__ = ["VERSION", "KeptIssuer", "KeptKeys", "KeysFile"]

logger = logging.getLogger("nmos_auth")

VERSION = 1
# Files that were written before there were versions have no times.
_UNVERSIONED = 0
_NEVER_CONFIRMED = 0.0
# How the content begins, without white space.
_BEGINNING = re.compile(rb'\{("version":\d+,)?"issuers":')
_BEGINNINGS = (b'{"version":%d,"issuers":' % VERSION, b'{"issuers":')
_LONGEST_BEGINNING = 4096


@dataclass(frozen=True, slots=True)
class KeptIssuer:
    """What is kept of one issuer.

    Attributes:
        keys: the keys it published when it was last asked.
        confirmed: when that was, in seconds since 1970 UTC.
        named_at: the RFC 8414 places that the settings or DNS named and whose metadata named this
            issuer.
    """

    keys: tuple[VerificationKey, ...]
    confirmed: float = _NEVER_CONFIRMED
    named_at: tuple[str, ...] = ()


KeptKeys = Mapping[str, KeptIssuer]


class KeysFile:
    """A file of public keys by issuer: owner-only, replaced whole or not at all.

    It is JSON: `{"version": 1, "issuers": {ISSUER: {"keys": [JWK…], "confirmed": SECONDS,
    "named_at": [URL…]}}}`.
    """

    def __init__(self, path: Path) -> None:
        self._file = PrivateFile(path, setting="NMOS_AUTH_KEYS_FILE", secret=True)

    def load(self) -> KeptKeys:
        """Read what was saved. A file that is damaged, or that other users could write, is ignored.

        Raises:
            ConfigurationError: the file may not be used, or is another program's.
        """
        try:
            with self._file.reading() as content:
                self._check_ours(content)
                kept = _parse(content)
        except FileNotFoundError:
            return {}
        except FilePlanted as error:
            # Emptied, so that a restart before the next fetch does not believe it either.
            if not self.save({}):
                raise ConfigurationError(str(error)) from None
            logger.warning(
                "NMOS_AUTH_KEYS_FILE: other users could write %s: its keys were removed, and are"
                " fetched again",
                self._file.path,
            )
        except FileRefused as error:
            raise ConfigurationError(str(error)) from None
        except ConfigurationError:  # which is a ValueError
            raise
        except (ValueError, KeySetError) as error:
            logger.warning("NMOS_AUTH_KEYS_FILE: %s is ignored: %s", self._file.path, error)
        else:
            return kept
        return {}

    def check(self) -> None:
        """Check what `load` checks; whoever calls this may be another user, so nothing is written.

        Raises:
            ConfigurationError: the file may not be used, or is another program's.
        """
        try:
            self._check_ours(self._file.read())
        except FileNotFoundError:
            pass
        except FileRefused as error:
            raise ConfigurationError(str(error)) from None

    def _check_ours(self, content: bytes) -> None:
        """Refuse a file that `save` would replace without ever having written it."""
        if not _may_be_ours(content):
            raise ConfigurationError(
                f"NMOS_AUTH_KEYS_FILE: {self._file.path} is not a file of kept keys, which would"
                " replace it; name a file that does not exist yet, or remove this one"
            )

    def save(self, kept: KeptKeys) -> bool:
        """Replace the file and tell whether that went well.

        A failure is only logged, since the keys in memory are used.
        """
        document = {
            "version": VERSION,
            "issuers": {
                issuer: {
                    "keys": [_jwk(key) for key in each.keys],
                    "confirmed": each.confirmed,
                    "named_at": each.named_at,
                }
                for issuer, each in kept.items()
            },
        }
        try:
            self._file.write(json.dumps(document, indent=1).encode())
        except OSError as error:
            reason = error.strerror or str(error)
            logger.warning("NMOS_AUTH_KEYS_FILE: %s cannot be written: %s", self._file.path, reason)
            return False
        return True


def _may_be_ours(content: bytes) -> bool:
    """Tell whether content is that of a keys file, of whatever version, or what a crash left of it.

    A file that a failing disk has cut short begins as it was written. Some file systems fill one
    with zeros.
    """
    beginning = content[:_LONGEST_BEGINNING].translate(None, b" \t\r\n\0")
    if any(each.startswith(beginning) for each in _BEGINNINGS):
        return True
    return _BEGINNING.match(beginning) is not None


def _parse(content: bytes) -> KeptKeys:
    document = parse_object(content)
    version = document.get("version", _UNVERSIONED)
    if version not in (_UNVERSIONED, VERSION):
        raise KeySetError(f"its version is {version!r:.20}, and this software reads {VERSION}")
    issuers = document.get("issuers")
    if not isinstance(issuers, dict):
        raise KeySetError("it has no object `issuers`")
    return {issuer: _kept(each) for issuer, each in issuers.items()}


def _kept(entry: object) -> KeptIssuer:
    keys = parse_jwks(entry).keys
    others = entry if isinstance(entry, dict) else {}
    named_at = others.get("named_at", [])
    if not isinstance(named_at, list):
        raise KeySetError("`named_at` is not an array")
    confirmed = moment(others.get("confirmed", _NEVER_CONFIRMED))
    return KeptIssuer(keys, confirmed, tuple(map(text, named_at)))


def _jwk(key: VerificationKey) -> dict[str, str]:
    named = {} if key.kid is None else {"kid": key.kid}
    return {"kty": "RSA", "n": key.n, "e": key.e, **named}

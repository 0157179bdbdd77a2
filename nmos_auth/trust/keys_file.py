"""The last good keys on disk, so that a restart without any Authorization Server still works."""

from __future__ import annotations

import json
import logging
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
            ConfigurationError: the file may not be used.
        """
        try:
            kept = _parse(self._file.read())
            self._file.keep_private()
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
        except (ValueError, KeySetError) as error:
            logger.warning("NMOS_AUTH_KEYS_FILE: %s is ignored: %s", self._file.path, error)
        else:
            return kept
        return {}

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

"""The last good keys on disk, so that a restart without any Authorization Server still works."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from nmos_auth.errors import ConfigurationError, KeySetError
from nmos_auth.servers.private_files import FilePlanted, FileRefused, PrivateFile
from nmos_auth.servers.strict_json import parse_object
from nmos_auth.trust.jwks import VerificationKey, parse_jwks

__all__ = ["KeysFile"]

logger = logging.getLogger("nmos_auth")

KeysByIssuer = Mapping[str, tuple[VerificationKey, ...]]


class KeysFile:
    """A file of public keys by issuer: owner-only, replaced whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._file = PrivateFile(path, setting="NMOS_AUTH_KEYS_FILE", secret=True)

    def load(self) -> KeysByIssuer:
        """Read what was saved. A file that is damaged, or that others could write, is ignored.

        Raises:
            ConfigurationError: the file may not be used.
        """
        try:
            return _parse(self._file.read())
        except FileNotFoundError:
            return {}
        except FilePlanted as error:
            # Emptied, so that a restart before the next fetch does not believe it either.
            if not self.save({}):
                raise ConfigurationError(str(error)) from None
            logger.warning(
                "NMOS_AUTH_KEYS_FILE: other users could write %s: the keys in it were removed, and"
                " are fetched again",
                self._file.path,
            )
        except FileRefused as error:
            raise ConfigurationError(str(error)) from None
        except (ValueError, KeySetError) as error:
            logger.warning("NMOS_AUTH_KEYS_FILE: %s is ignored: %s", self._file.path, error)
        return {}

    def save(self, keys: KeysByIssuer) -> bool:
        """Replace the file and tell whether that went well.

        A failure is logged and no more: the keys in memory are what counts.
        """
        document = {
            "issuers": {
                issuer: {"keys": [_jwk(key) for key in held]} for issuer, held in keys.items()
            }
        }
        try:
            self._file.write(json.dumps(document, indent=1).encode())
        except OSError as error:
            reason = error.strerror or str(error)
            logger.warning("NMOS_AUTH_KEYS_FILE: %s cannot be written: %s", self._file.path, reason)
            return False
        return True


def _parse(content: bytes) -> KeysByIssuer:
    issuers = parse_object(content).get("issuers")
    if not isinstance(issuers, dict):
        raise KeySetError("it has no object `issuers`")
    return {issuer: parse_jwks(document) for issuer, document in issuers.items()}


def _jwk(key: VerificationKey) -> dict[str, str]:
    named = {} if key.kid is None else {"kid": key.kid}
    return {"kty": "RSA", "n": key.n, "e": key.e, **named}

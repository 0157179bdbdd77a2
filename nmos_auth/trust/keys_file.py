"""The last good keys on disk, so that a restart without any Authorization Server still works."""

from __future__ import annotations

import json
import logging
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nmos_auth.errors import KeySetError
from nmos_auth.servers.strict_json import parse_object
from nmos_auth.trust.jwks import VerificationKey, parse_jwks

__all__ = ["KeysFile"]

logger = logging.getLogger("nmos_auth")

KeysByIssuer = Mapping[str, tuple[VerificationKey, ...]]


class KeysFile:
    """A file of public keys by issuer: owner-only, replaced whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> KeysByIssuer:
        """Read what was saved. A file that is damaged, or that others may write, is ignored."""
        try:
            return _parse(self._read())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeySetError) as error:
            logger.warning("NMOS_AUTH_KEYS_FILE: %s is ignored: %s", self._path, error)
            return {}

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise ValueError("others than its owner may write it; `chmod go-w` it")
            return file.read()

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
            self._replace(json.dumps(document, indent=1).encode())
        except OSError as error:
            logger.warning("NMOS_AUTH_KEYS_FILE: %s cannot be written: %s", self._path, error)
            return False
        return True

    def _replace(self, content: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name + ".")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _parse(content: bytes) -> KeysByIssuer:
    issuers = parse_object(content).get("issuers")
    if not isinstance(issuers, dict):
        raise KeySetError("it has no object `issuers`")
    return {issuer: parse_jwks(document) for issuer, document in issuers.items()}


def _jwk(key: VerificationKey) -> dict[str, str]:
    named = {} if key.kid is None else {"kid": key.kid}
    return {"kty": "RSA", "n": key.n, "e": key.e, **named}

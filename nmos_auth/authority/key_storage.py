"""Signing keys that are kept over a restart."""

from __future__ import annotations

import json

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from nmos_auth.authority.database import Database
from nmos_auth.errors import ConfigurationError
from nmos_auth.servers.key_ring import FormerKey, KeyRing

__all__ = ["StoredKeys"]

_SETTING = "signing_keys"


class StoredKeys:
    """Keeps the signing keys in the database, whose file only its owner may read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> KeyRing | None:
        """Return the kept keys, or None.

        Raises:
            ConfigurationError: they cannot be read.
        """
        text = self._database.setting(_SETTING)
        if text is None:
            return None
        try:
            document = json.loads(text)
            return KeyRing(
                current=RSAKey.import_key(document["current"]),
                following=RSAKey.import_key(document["following"]),
                former=tuple(
                    FormerKey(RSAKey.import_key(key), float(until))
                    for key, until in reversed(document["retired"])
                ),
            )
        except (ValueError, KeyError, TypeError, JoseError):
            raise ConfigurationError("the database: its signing keys cannot be read") from None

    def save(self, ring: KeyRing) -> None:
        """Replace the kept keys by these."""
        document = {
            "current": ring.current.as_dict(private=True),
            "following": ring.following.as_dict(private=True),
            "retired": [
                (each.key.as_dict(private=False), each.published_until)
                for each in reversed(ring.former)
            ],
        }
        self._database.set_setting(_SETTING, json.dumps(document))

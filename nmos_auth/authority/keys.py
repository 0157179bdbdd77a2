"""The keys that sign Access Tokens: announced, changed, withdrawn (IS-10 "Changing Keys")."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from joserfc.jwk import RSAKey

from nmos_auth.servers.key_ring import KeyRing, new_signing_key

__all__ = ["ALGORITHM", "KeyStorage", "SigningKeys", "new_signing_key"]

# IS-10 "Behaviour: Access Tokens": the value of the `alg` field MUST be set to `RS512`.
ALGORITHM = "RS512"

logger = logging.getLogger("nmos_auth.authority")


class KeyStorage(Protocol):
    """Where keys are kept from one run to the next."""

    def load(self) -> KeyRing | None:
        """Return the keys of the last run, or None."""
        ...

    def save(self, ring: KeyRing) -> None:
        """Keep these keys."""
        ...


class SigningKeys:
    """The key that signs, the one that signs next, and those whose tokens are still valid.

    All of them are published: the next one "for at least 2 hours before issuing tokens signed by
    the corresponding private key", a former one "until all tokens that may be verified by the old
    public key would have expired" (IS-10 "Changing Keys"). A key is published before it signs for
    the time between two calls of `rotate`.

    Any thread may call any method. A rotation makes its new key without delaying a signature.

    Args:
        retention: seconds for which a former key stays published: at least the longest lifetime
            of a token.
        clock: seconds since 1970 UTC.
        new_key: makes a private key with a `kid`.
        storage: keeps the keys for another run, or None.
    """

    def __init__(
        self,
        *,
        retention: float,
        clock: Callable[[], float] = time.time,
        new_key: Callable[[], RSAKey] = new_signing_key,
        storage: KeyStorage | None = None,
    ) -> None:
        self._retention = retention
        self._clock = clock
        self._new_key = new_key
        self._storage = storage
        self._changing = threading.Lock()
        former = storage.load() if storage is not None else None
        self._ring = former or KeyRing.first(new_key, clock())
        if former is None:
            self._save(self._ring)

    @property
    def current(self) -> RSAKey:
        """The private key that signs now."""
        return self._ring.current

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the JSON Web Key Set to publish (RFC 7517 Section 5): public parts only."""
        return self._ring.jwks(self._clock(), alg=ALGORITHM)

    def rotate(self) -> None:
        """Sign with the next key, announce another one, and keep the former one published."""
        with self._changing:
            announced = self._new_key()
            former = self._ring
            ring = former.rotated(announced, self._clock(), retention=self._retention)
            # It is saved first, so that no token is signed by a key that a restart would forget.
            self._save(ring)
            self._ring = ring
        logger.info(
            "signing keys rotated: %s signs, %s is announced, %s stays published",
            former.following.kid,
            announced.kid,
            former.current.kid,
        )

    def replace(self) -> None:
        """Withdraw the signing key at once and sign with one that has not been published yet.

        "if a private key is known to be compromised, the Authorization Server MUST remove it from
        the public key endpoint immediately" (IS-10 "Changing Keys"). The key announced before
        stays announced; tokens that the withdrawn key signed are void.
        """
        with self._changing:
            unannounced = self._new_key()
            former = self._ring
            ring = former.replaced(unannounced, self._clock())
            self._save(ring)
            self._ring = ring
        logger.warning(
            "signing key replaced: %s signs, %s is withdrawn", unannounced.kid, former.current.kid
        )

    def _save(self, ring: KeyRing) -> None:
        if self._storage is not None:
            self._storage.save(ring)

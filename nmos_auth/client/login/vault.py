"""The Refresh Token of a session, kept with it."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from pydantic import SecretStr

from nmos_auth.client.login.sealed import Seal, SessionRecord
from nmos_auth.client.login.sessions import SessionStore
from nmos_auth.client.tokens.vaults import KeptGrant

__all__ = ["SessionVault"]


class SessionVault:
    """A `Vault` that keeps the grant of one session in the session store.

    Until `begin` the grant is in memory, since a session begins after its code was exchanged. Once
    the session has ended, its last grant can still be read, to be revoked.

    Args:
        store: the session store.
        key: the key of the session.
        seal: encrypts the session.
        record: what is already kept; None for a session that has not begun yet.
    """

    def __init__(
        self, store: SessionStore, key: str, seal: Seal, record: SessionRecord | None = None
    ) -> None:
        self._store = store
        self._key = key
        self._seal = seal
        self._record = record
        self._grant = None if record is None else record.grant
        # The token that the store has, if its successor could not be written.
        self._spent: SecretStr | None = None

    @property
    def lasting(self) -> bool:
        """Whether what it keeps can be seen in the Client's store: it cannot."""
        return False

    def alone(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Keep out all others, including other workers, while the token is being exchanged."""
        return self._store.alone(self._key)

    async def begin(self, record: SessionRecord, lifetime: float) -> None:
        """Keep a session, with the grant that was written before.

        Args:
            record: the session.
            lifetime: seconds after which it ends if it is not used.

        Raises:
            StoreError: the store cannot be written.
        """
        self._record = replace(record, grant=self._grant)
        await self._store.put(self._key, self._seal.close(self._record.document()), lifetime)

    async def read(self) -> KeptGrant | None:
        """Return the grant, or None."""
        if self._record is not None:
            sealed = await self._store.get(self._key)
            if sealed is not None:
                with contextlib.suppress(ValueError):
                    self._take(SessionRecord.read(self._seal.open(sealed)).grant)
        return self._grant

    def _take(self, stored: KeptGrant | None) -> None:
        """Use what the store has, unless this process has spent it and could not replace it."""
        if self._spent is None or stored is None or stored.refresh_token != self._spent:
            self._grant, self._spent = stored, None

    async def rehearse(self) -> None:
        """Check that the store answers, unless what it has is already spent."""
        if self._spent is None:
            await self._store.present([self._key])

    @property
    def unwritten(self) -> bool:
        """Whether the store has a token that is spent."""
        return self._spent is not None

    async def flush(self) -> None:
        """Write what could not be written before, if there is anything; `alone` is held.

        Raises:
            StoreError: it still cannot be written.
        """
        if self._spent is not None:
            await self.read()
        if self._spent is not None:
            await self.write(self._grant)

    async def write(self, kept: KeptGrant | None) -> None:
        """Keep this one and forget the former."""
        former, self._grant = self._grant, kept
        if self._record is None:
            return
        if self._spent is None and former is not None:
            self._spent = former.refresh_token
        self._record = replace(self._record, grant=kept)
        # If the session has ended meanwhile, the grant stays here to be revoked.
        await self._store.replace(self._key, self._seal.close(self._record.document()))
        self._spent = None

    async def drop(self, dead: KeptGrant) -> None:
        """Forget a grant, if it is the one that is kept."""
        kept = await self.read()
        if kept is not None and kept.refresh_token == dead.refresh_token:
            await self.write(None)

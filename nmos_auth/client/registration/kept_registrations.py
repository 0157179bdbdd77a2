"""What a store keeps of one server's registrations: the current one and former ones.

A former registration is kept while a grant belongs to it: a Refresh Token is bound to the client
to which it was issued (RFC 6749 Section 6).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from nmos_auth.client.errors import StoreError
from nmos_auth.client.registration.registrations import Registration, server_tag
from nmos_auth.client.store.stores import (
    AUTHORIZATIONS,
    REGISTRATIONS,
    Record,
    Store,
    log_unwritten,
)

__all__ = ["KeptRegistrations"]

_FORMER = "former_registrations"
_MOST_FORMER = 16

_Kept = tuple[Registration | None, tuple[Registration, ...]]


@dataclass(frozen=True)
class _Changes:
    """Changes that could not be written, to be merged with what others have written meanwhile.

    Attributes:
        current: the client id of the current registration, if it has changed.
        changed: the registrations that are new or changed.
        dropped: the client ids of the registrations that are forgotten.
    """

    current: str | None
    changed: tuple[Registration, ...]
    dropped: frozenset[str]

    @classmethod
    def between(cls, before: _Kept, after: _Kept) -> _Changes:
        """Return the changes from `before` to `after`."""
        known = {each.client_id: each for each in _listed(before)}
        left = {each.client_id: each for each in _listed(after)}
        current = None if after[0] is None else after[0].client_id
        was = None if before[0] is None else before[0].client_id
        return cls(
            None if current == was else current,
            tuple(each for name, each in left.items() if known.get(name) != each),
            frozenset(known.keys() - left.keys()),
        )

    def over(self, stored: _Kept) -> _Kept:
        """Return what is stored, with these changes."""
        each = {known.client_id: known for known in _listed(stored)}
        each |= {changed.client_id: changed for changed in self.changed}
        for client_id in self.dropped:
            each.pop(client_id, None)
        current = self.current or ("" if stored[0] is None else stored[0].client_id)
        return each.pop(current, None), tuple(each.values())


def _listed(kept: _Kept) -> tuple[Registration, ...]:
    current, former = kept
    return former if current is None else (current, *former)


class KeptRegistrations:
    """Keeps the registrations with one server.

    What the store cannot write is kept in memory until it can. A caller that reads, decides and
    changes something does so while it holds `alone`.

    Args:
        store: the store.
        issuer: the server.
    """

    def __init__(self, store: Store, issuer: str) -> None:
        self._store = store
        self._issuer = issuer
        self._read: tuple[object, _Kept] | None = None
        self._unwritten: _Changes | None = None

    def alone(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Return a lock that keeps out all others, including other processes."""
        return self._store.alone(f"registration-{server_tag(self._issuer)}")

    async def current(self) -> Registration | None:
        """Return the registration that is used for everything new.

        Raises:
            StoreError: the store cannot be read.
        """
        return (await self._all())[0]

    async def former(self) -> tuple[Registration, ...]:
        """Return the registrations that are kept because grants belong to them.

        Raises:
            StoreError: the store cannot be read.
        """
        return (await self._all())[1]

    async def find(self, client_id: str) -> Registration | None:
        """Return the registration with a client id, current or former.

        Raises:
            StoreError: the store cannot be read.
        """
        known = _listed(await self._all())
        return next((each for each in known if each.client_id == client_id), None)

    async def check_room(self) -> None:
        """Check that the store can be written, before something has to be kept.

        Raises:
            StoreError: it cannot be written.
        """
        await asyncio.to_thread(self._store.rehearse)

    async def make_current(self, registration: Registration, now: float) -> None:
        """Make a registration the current one, and the previous one a former one."""
        current, former = await self._all()
        if current is not None:
            former = (replace(current, replaced_at=now), *former)
        others = [each for each in former if each.client_id != registration.client_id]
        await self._keep((replace(registration, replaced_at=0), tuple(others[:_MOST_FORMER])))

    async def keep(self, registration: Registration) -> None:
        """Keep a changed registration, current or former; an unknown one is not kept."""
        await self.amend(registration.client_id, lambda _: registration)

    async def amend(self, client_id: str, change: Callable[[Registration], Registration]) -> None:
        """Change the registration with a client id, if it is kept."""

        def changed(each: Registration) -> Registration:
            return change(each) if each.client_id == client_id else each

        current, former = before = await self._all()
        after = (
            None if current is None else changed(current),
            tuple(changed(each) for each in former),
        )
        if after != before:
            await self._keep(after)

    async def drop(self, client_id: str) -> None:
        """Forget a registration.

        Raises:
            StoreError: the store cannot be read.
        """
        current, former = await self._all()
        if current is not None and current.client_id == client_id:
            current = None
        await self._keep((current, tuple(each for each in former if each.client_id != client_id)))

    async def is_wanted(self, registration: Registration, now: float) -> bool:
        """Tell whether a former registration is needed: for a grant, or for another process.

        Raises:
            StoreError: the store cannot be read.
        """
        if registration.held_until > now or registration.worth_keeping(now):
            return True
        record = await asyncio.to_thread(self._store.get, AUTHORIZATIONS, self._issuer)
        # Earlier versions did not say to which registration an authorization belongs.
        return record is not None and record.public.get("client_id") in {
            None,
            registration.client_id,
        }

    @property
    def unwritten(self) -> bool:
        """Whether something is kept in memory only."""
        return self._unwritten is not None

    async def flush(self) -> None:
        """Write what could not be written before, merged with what others have written since."""
        if self._unwritten is not None:
            await self._keep(await self._all())

    async def _all(self) -> _Kept:
        stored = await self._stored()
        return stored if self._unwritten is None else self._unwritten.over(stored)

    async def _stored(self) -> _Kept:
        version = self._store.version()
        if self._read is None or self._read[0] != version:
            self._read = version, await asyncio.to_thread(self._load)
        return self._read[1]

    def _load(self) -> _Kept:
        record = self._store.get(REGISTRATIONS, self._issuer)
        current = None if record is None else Registration.from_record(self._issuer, record)
        former = _former_of(self._issuer, self._store.get(_FORMER, self._issuer))
        return current, tuple(
            each for each in former if current is None or each.client_id != current.client_id
        )

    async def _keep(self, kept: _Kept) -> None:
        # It is kept in memory first: a store that cannot be written must not lead to one
        # registration after the other.
        self._unwritten = _Changes.between(await self._stored(), kept)
        try:
            await asyncio.to_thread(self._write, kept)
        except StoreError as error:
            log_unwritten(f"the registration with {self._issuer}", error)
        else:
            self._unwritten = None

    def _write(self, kept: _Kept) -> None:
        current, former = kept
        # The former ones are written first, so that a crash in between loses none.
        record = _record_of(former)
        self._store.update(
            _FORMER,
            self._issuer,
            lambda there: there if there == record else record,
        )
        entry = None if current is None else current.to_record()
        self._store.update(
            REGISTRATIONS, self._issuer, lambda there: there if there == entry else entry
        )


def _record_of(former: tuple[Registration, ...]) -> Record | None:
    if not former:
        return None
    records = [each.to_record() for each in former]
    return Record(
        {"registrations": [each.public for each in records]},
        {"registrations": [each.secret for each in records]},
    )


def _former_of(issuer: str, record: Record | None) -> tuple[Registration, ...]:
    if record is None:
        return ()
    public, secret = record.public.get("registrations"), record.secret.get("registrations")
    if not isinstance(public, list) or not isinstance(secret, list) or len(public) != len(secret):
        raise StoreError(f"the stored registrations with {issuer} are damaged")
    return tuple(
        Registration.from_record(issuer, Record(*pair)) for pair in zip(public, secret, strict=True)
    )

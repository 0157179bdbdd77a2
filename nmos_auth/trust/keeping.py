"""Keys over a restart: what the keys file held, and saving what has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol

from nmos_auth.servers.urls import IssuerUrl, split_url
from nmos_auth.trust.keys_file import KeptIssuer, KeptKeys

__all__ = ["LONGEST_ABSENCE", "InThread", "Keeper", "KeysStorage", "is_recent", "named_before"]

LONGEST_ABSENCE = 24 * 3600.0
# Seconds by which the clock may have been set back since the file was written.
_CLOCKS_APART = 60.0
# Seconds by which a time must be newer than the one in the file before the file is written.
_WORTH_SAVING = 60.0


class KeysStorage(Protocol):
    """Where keys are kept; `keys_file.KeysFile` is one."""

    def load(self) -> KeptKeys:
        """Read what was saved."""
        ...

    def save(self, kept: KeptKeys) -> bool:
        """Replace what was saved, and tell whether that went well."""
        ...


class InThread(Protocol):
    """Runs a function that may wait for a disk outside the event loop, like `asyncio.to_thread`."""

    def __call__(self, save: Callable[[KeptKeys], bool], kept: KeptKeys, /) -> Awaitable[bool]:
        """Run it and return what it returned."""
        ...


def is_recent(confirmed: float, now: float) -> bool:
    """Tell whether a neighbour that was confirmed at this time is still believed.

    Args:
        confirmed: seconds since 1970 UTC, from a file. A time in the future is not believed.
        now: seconds since 1970 UTC, by this machine's clock.
    """
    return -_CLOCKS_APART <= now - confirmed < LONGEST_ABSENCE


def named_before(kept: KeptKeys, place: str, *, allow_http: bool) -> IssuerUrl | None:
    """Return the issuer that the metadata at a place named before the restart, or None.

    It is believed until the place answers, as it would be without a restart. As in metadata, it has
    the very same origin as the place.

    Args:
        kept: what was kept, from a file.
        place: an RFC 8414 place that the settings or DNS name now.
        allow_http: whether `http` is allowed, as it is in development.
    """
    for text, each in kept.items():
        if place in each.named_at:
            with suppress(ValueError):
                issuer = IssuerUrl.parse(text, allow_http=allow_http)
                if issuer.origin == split_url(place).origin:
                    return issuer
    return None


class Keeper:
    """Hands out the keys that were kept, and saves those that are held.

    The file says which keys an issuer has, and which metadata named it, but never whom to trust:
    what was kept of an issuer is not used until the settings or DNS name it, or that metadata.

    Args:
        storage: where keys are kept, or None.
        in_thread: runs a function that may wait for a disk.
    """

    def __init__(self, storage: KeysStorage | None, in_thread: InThread) -> None:
        self._storage = storage
        self._in_thread = in_thread
        self._waiting: dict[str, KeptIssuer] = {} if storage is None else dict(storage.load())
        self._saved_at = {url: kept.confirmed for url, kept in self._waiting.items()}
        self._settled = False
        self._unsaved = False
        self._saving: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> Mapping[str, KeptIssuer]:
        """What was kept of issuers that are not trusted, or not trusted yet."""
        return self._waiting

    def take(self, url: str) -> KeptIssuer | None:
        """Hand out what was kept of an issuer, once."""
        return self._waiting.pop(url, None)

    def settle(self) -> None:
        """Forget what was not taken: it is known now which issuers are trusted."""
        if not self._settled:
            self._settled = True
            self._unsaved |= bool(self._waiting)

    def changed(self) -> None:
        """Record that the keys that are held differ from those that were saved."""
        self._unsaved = True

    def confirmed(self, url: str, when: float) -> None:
        """Record that an issuer was confirmed, at this time in seconds since 1970 UTC."""
        if abs(when - self._saved_at.get(url, 0.0)) >= _WORTH_SAVING:
            self._unsaved = True

    def save_soon(self, held: Callable[[], KeptKeys]) -> None:
        """Save what has changed in the background, so that a slow disk does not delay fetching.

        Args:
            held: returns what is held. Until it is known which issuers are trusted, what is waiting
                is saved too.
        """
        if self._storage is None or not self._unsaved or self._saving is not None:
            return
        self._saving = asyncio.get_running_loop().create_task(
            self._save(self._storage, held), name="nmos_auth keeping keys"
        )

    async def stop(self) -> None:
        """End saving, after what is being written has been written."""
        task, self._saving = self._saving, None
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def restart(self) -> None:
        """Begin on another event loop."""
        self._saving = None

    async def _save(self, storage: KeysStorage, held: Callable[[], KeptKeys]) -> None:
        try:
            while self._unsaved:
                self._unsaved = False
                kept = {**({} if self._settled else self._waiting), **held()}
                if not await self._in_thread(storage.save, kept):
                    self._unsaved = True  # the next fetch tries again
                    return
                self._saved_at = {url: each.confirmed for url, each in kept.items()}
        finally:
            self._saving = None

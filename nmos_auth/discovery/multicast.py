"""Servers by multicast DNS (RFC 6762), with zeroconf: the extra `mdns`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

from nmos_auth.discovery.bounded_log import BoundedLog
from nmos_auth.discovery.dns_sd import (
    AUTHORIZATION_SERVER,
    MOST_ADVERTISEMENTS,
    MULTICAST_DOMAIN,
    Advertisement,
    AdvertisementError,
    DiscoveryError,
    ServiceType,
    advertisement_of,
    printable,
    split_txt,
)
from nmos_auth.discovery.interfaces import usable_interfaces
from nmos_auth.errors import MissingExtra
from nmos_auth.servers.backoff import BackOff

with MissingExtra.named("mdns", "zeroconf"):
    from zeroconf import Error, ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

__all__ = ["MulticastSource"]

logger = logging.getLogger("nmos_auth")

LISTEN = 3.0
RESOLVE_DEADLINE = 3.0
REOPENING = BackOff(15.0, 300.0)
RECONFIRM_INTERVAL = 60.0
MOST_COMPLAINTS = 256
SETTLING = 0.2


class MulticastSource:
    """Follows what is advertised on the local links, by IPv4 and, if the host has it, IPv6.

    Args:
        service: the service to look for.
        interfaces: addresses of the interfaces to use; all of them by default.
        listen: seconds after which silence is the first answer. Responders answer within 120 ms
            (RFC 6762 Section 6); the second query is sent after one second.
        reconfirmation: seconds in which a doubtful server must answer; otherwise it is forgotten
            (RFC 6762 Section 10.4: ten seconds).
    """

    def __init__(
        self,
        service: ServiceType = AUTHORIZATION_SERVER,
        *,
        interfaces: Sequence[str] | None = None,
        listen: float = LISTEN,
        reconfirmation: float = 10.0,
    ) -> None:
        self._type = f"{service.name}.{MULTICAST_DOMAIN}."
        self._interfaces = interfaces
        self._listen = listen
        self._reconfirmation = reconfirmation
        self._browsing: _Browsing | None = None
        self._log = BoundedLog(logger)

    async def look(self) -> Sequence[Advertisement]:
        """Listen for a while, and return what is advertised.

        Raises:
            DiscoveryError: no interface can be listened on.
        """
        try:
            async with self._opened() as browsing:
                await asyncio.sleep(self._listen)
                return browsing.found()
        except (OSError, Error) as error:
            raise DiscoveryError(f"multicast DNS: {error}") from None

    async def follow(self, tell: Callable[[Sequence[Advertisement]], None]) -> None:
        """Listen until cancelled, and call `tell` with what is advertised after each change.

        While nothing is advertised, the sockets are opened again from time to time: an interface
        may have come up since, and each opening asks again.
        """
        failed = False
        for opening in itertools.count(1):
            try:
                async with self._opened() as browsing:
                    failed = False
                    await self._watch(browsing, tell, REOPENING.ceiling(opening))
            except (OSError, Error) as error:
                level = logging.DEBUG if failed else logging.WARNING
                logger.log(level, "multicast DNS cannot be listened to: %s", error)
                failed = True
                await asyncio.sleep(REOPENING.pause(opening))

    def doubt(self, advertisement: Advertisement) -> None:
        """Reconfirm the records of a server that does not answer (RFC 6762 Section 10.4)."""
        if self._browsing is not None:
            self._browsing.reconfirm(advertisement, self._reconfirmation)

    async def _watch(
        self,
        browsing: _Browsing,
        tell: Callable[[Sequence[Advertisement]], None],
        patience: float,
    ) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._listen):
                await browsing.changed.wait()
        while True:
            browsing.changed.clear()
            found = browsing.found()
            tell(found)
            # Whoever changes things all the time costs no more than a few changes a second.
            await asyncio.sleep(SETTLING)
            try:
                async with asyncio.timeout(None if found else patience):
                    await browsing.changed.wait()
            except TimeoutError:
                return

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[_Browsing]:
        opened = self._open()
        starting = asyncio.ensure_future(opened.zeroconf.async_wait_for_start())
        try:
            # If this wait were cancelled, it would also end what zeroconf's own closing waits for.
            await asyncio.shield(starting)
            self._browsing = _Browsing(opened.zeroconf, self._type, self._log)
            yield self._browsing
        finally:
            browsing, self._browsing = self._browsing, None
            if browsing is not None:
                await browsing.aclose()
            await asyncio.wait([starting])
            await opened.async_close()

    def _open(self) -> AsyncZeroconf:
        if self._interfaces is not None:
            return AsyncZeroconf(interfaces=list(self._interfaces))
        return AsyncZeroconf(interfaces=usable_interfaces())


class _Browsing:
    """What is known while the sockets are open.

    Attributes:
        changed: set when the result of `found` may have changed.
    """

    def __init__(self, zeroconf: Zeroconf, service_type: str, log: BoundedLog) -> None:
        self.changed = asyncio.Event()
        self._zeroconf = zeroconf
        self._type = service_type
        self._instances: dict[str, Advertisement | None] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reconfirmed: dict[str, float] = {}
        self._complaints: set[str] = set()
        self._log = log
        self._browser = AsyncServiceBrowser(zeroconf, service_type, handlers=[self._heard])

    async def aclose(self) -> None:
        await self._browser.async_cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def found(self) -> Sequence[Advertisement]:
        return [each for each in self._instances.values() if each is not None]

    def reconfirm(self, advertisement: Advertisement, deadline: float) -> None:
        now = asyncio.get_running_loop().time()
        for name, known in self._instances.items():
            if known == advertisement and self._reconfirmed.get(name, now) <= now:
                self._reconfirmed[name] = now + RECONFIRM_INTERVAL
                # Records that are not in zeroconf's cache are asked for until they are answered.
                cache = self._zeroconf.cache
                cache.async_remove_records(cache.entries_with_name(name))
                self._begin(name, self._resolve(name, deadline))

    def _heard(self, *, name: str, state_change: ServiceStateChange, **_: object) -> None:
        if state_change is ServiceStateChange.Removed:
            self._drop(name)
        elif name in self._instances or self._make_room():
            self._instances.setdefault(name, None)
            self._begin(name, self._resolve(name, RESOLVE_DEADLINE))
        else:
            self._forget(name)
            self._complain(
                f"{self._type} has over {MOST_ADVERTISEMENTS} instances; a further one waits until"
                " one of these does not answer"
            )

    def _make_room(self) -> bool:
        """Make room for one more instance if possible, and tell whether there is room.

        Any host on the link can take all places. So a useless instance makes room: first one that
        is passed over, then the one that has been in doubt for the longest time.
        """
        if len(self._instances) < MOST_ADVERTISEMENTS:
            return True
        passed_over = (
            name
            for name, known in self._instances.items()
            if known is None and self._tasks[name].done()
        )
        name = next(passed_over, None)
        if name is None:
            name = min(self._reconfirmed, key=self._reconfirmed.__getitem__, default=None)
        if name is None:
            return False
        self._forget(name)
        self._drop(name)
        return True

    def _forget(self, name: str) -> None:
        """Forget an instance, so that the browser reports it as new when it is heard again."""
        cache = self._zeroconf.cache
        if (pointer := cache.current_entry_with_name_and_alias(self._type, name)) is not None:
            cache.async_remove_records([pointer])

    def _begin(self, name: str, work: Coroutine[None, None, None]) -> None:
        if name in self._tasks:
            self._tasks[name].cancel()
        self._tasks[name] = asyncio.get_running_loop().create_task(
            work, name=f"nmos_auth resolving {name!r}"
        )

    async def _resolve(self, name: str, deadline: float) -> None:
        info = AsyncServiceInfo(self._type, name)
        await info.async_request(self._zeroconf, deadline * 1000)
        if info.server is None or info.port is None or not info.text:
            self._forget(name)
            self._complain(f"{printable(name.encode())} does not answer to multicast DNS")
            self._drop(name)
            return
        label = name.encode("utf-8", "replace")[: -len(self._type) - 1]
        try:
            self._instances[name] = advertisement_of(
                label, MULTICAST_DOMAIN, info.server, info.port, split_txt(info.text)
            )
        except AdvertisementError as error:
            self._instances[name] = None
            self._complain(f"{printable(label)}.{self._type} is passed over: {error}")
        self.changed.set()

    def _drop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self._reconfirmed.pop(name, None)
        if self._instances.pop(name, None) is not None:
            self.changed.set()

    def _complain(self, complaint: str) -> None:
        if complaint not in self._complaints and len(self._complaints) >= MOST_COMPLAINTS:
            self._complaints.clear()
        level = logging.DEBUG if complaint in self._complaints else logging.WARNING
        self._complaints.add(complaint)
        self._log.write(level, "%s", complaint)

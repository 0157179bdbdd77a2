"""The registries: those of the settings, or those that DNS-SD finds."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol

from example_node.registration.behaviour import API_VERSION
from nmos_auth.discovery.directory import ServerDirectory, Source
from nmos_auth.discovery.dns_sd import Advertisement, ServiceType

# `_nmos-registration._tcp` is for Nodes that support v1.2 and earlier versions (IS-04 "Discovery:
# Registered Operation", Client Interaction Procedure). Nodes that are not registered are not seen,
# so they ask again soon.
REGISTRATION_API = ServiceType("_nmos-register._tcp", "Registration API", longest_while_none=10.0)


class Registries(Protocol):
    """The Registration APIs that a Node may use."""

    def known(self) -> Sequence[str]:
        """Return the URLs of the registries known now, the most preferred one first."""
        ...

    def doubt(self, url: str) -> None:
        """Report that one of them does not answer."""
        ...

    def start(self, on_change: Callable[[], None]) -> None:
        """Begin to look for them; `on_change` is called when the result of `known` may change."""
        ...

    async def stop(self) -> None:
        """Stop looking for them."""
        ...


class ConfiguredRegistries:
    """Registries that the settings name.

    Args:
        urls: URLs like `https://registry.example.com:8443`, in order of preference.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)

    def known(self) -> Sequence[str]:
        """Return all of them."""
        return self._urls

    def doubt(self, url: str) -> None:
        """Do nothing: there is no DNS to ask."""

    def start(self, on_change: Callable[[], None]) -> None:
        """Do nothing: they do not change."""

    async def stop(self) -> None:
        """Do nothing."""


class DiscoveredRegistries:
    """Registries that are advertised and suit this Node.

    IS-04 "Discovery: Registered Operation" has Nodes order them by priority, equal ones at random,
    "filtering out any APIs which do not support the desired API version, protocol and
    authorization mode".

    Args:
        sources: the sources of advertisements.
        api_proto: the protocol that is wanted; None for either.
        api_auth: whether authorization is wanted.
        service: the service that the sources look for.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        *,
        api_proto: Literal["http", "https"] | None,
        api_auth: bool,
        service: ServiceType = REGISTRATION_API,
    ) -> None:
        self._on_change: Callable[[], None] = lambda: None
        self._api_proto = api_proto
        self._api_auth = api_auth
        self._directory = ServerDirectory(
            sources,
            self._changed,
            service=service,
            suitable=self._suits,
        )

    def known(self) -> Sequence[str]:
        """Return their URLs."""
        return [each.origin for each in self._advertised()]

    def doubt(self, url: str) -> None:
        """Ask DNS again about a registry that does not answer."""
        for each in self._advertised():
            if each.origin == url:
                self._directory.doubt(each)

    def start(self, on_change: Callable[[], None]) -> None:
        """Begin to follow advertisements."""
        self._on_change = on_change
        self._directory.start()

    async def stop(self) -> None:
        """Stop following them."""
        await self._directory.stop()

    def _changed(self) -> None:
        self._on_change()

    def _suits(self, advertisement: Advertisement) -> bool:
        return (
            API_VERSION in advertisement.api_ver
            and self._api_proto in {advertisement.api_proto, None}
            and bool(advertisement.api_auth) is self._api_auth
        )

    def _advertised(self) -> Sequence[Advertisement]:
        # "if a unicast response is received, multicast browsing SHOULD NOT be performed even if
        # the unicast-discovered API is unresponsive" (IS-04 "Discovery")
        found = self._directory.advertisements
        return [each for each in found if not each.is_multicast] or found

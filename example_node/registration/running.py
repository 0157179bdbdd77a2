"""Registration, made from the settings."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import nmos_auth
from example_node.registration.registrar import Registrar
from example_node.registration.registries import (
    REGISTRATION_API,
    ConfiguredRegistries,
    DiscoveredRegistries,
    Registries,
)
from example_node.registration.registry_client import RegistryClient
from example_node.resources import Resources
from example_node.settings import Settings
from nmos_auth import ConfigurationError
from nmos_auth.client import AuthorizationClient, Origins
from nmos_auth.discovery.directory import sources_for
from nmos_auth.servers.access import ServerAccess
from nmos_auth.servers.certificates import TlsFiles, TlsIdentity
from nmos_auth.settings import Discovery

SCOPE = "registration"


def registries_of(settings: Settings, auth_settings: nmos_auth.Settings) -> Registries | None:
    """Return the registries of the settings or of discovery; None if both are off.

    Raises:
        nmos_auth.ConfigurationError: a registry is http where tokens must not go, or multicast DNS
            requires a library that is not installed.
    """
    http = auth_settings.allow_http or not auth_settings.enabled
    if settings.registries:
        try:
            Origins(settings.registries, allow_http=http)
        except ConfigurationError as error:
            raise ConfigurationError(f"EXAMPLE_NODE_REGISTRIES: {error}") from None
        return ConfiguredRegistries(settings.registries)
    discovery, setting = auth_settings.discovery, "NMOS_AUTH_DISCOVERY"
    if settings.registry_discovery is not None:
        discovery, setting = settings.registry_discovery, "EXAMPLE_NODE_REGISTRY_DISCOVERY"
    if discovery is Discovery.OFF:
        return None
    domain = auth_settings.dns_domain
    return DiscoveredRegistries(
        sources_for(discovery, domain, REGISTRATION_API, setting=setting),
        api_proto=settings.advertised.protocol if http else "https",
        api_auth=auth_settings.enabled,
    )


@asynccontextmanager
async def registered(
    resources: Resources,
    registries: Registries | None,
    client: AuthorizationClient | None,
    settings: Settings,
    auth_settings: nmos_auth.Settings,
) -> AsyncIterator[None]:
    """Keep the Node registered until the block ends.

    Args:
        resources: the resources to register.
        registries: the registries; None not to register.
        client: gets the tokens; None without authorization.
        settings: the interval of heartbeats.
        auth_settings: root certificates, also for registries, and whether tokens may go to http.
    """
    if registries is None:
        yield
        return
    registry_client = RegistryClient(
        ServerAccess(TlsIdentity(TlsFiles(auth_settings.ca_file))),
        None if client is None else client.tokens(SCOPE),
        deadline=settings.heartbeat_interval,
        allow_http=auth_settings.allow_http,
    )
    interval = settings.heartbeat_interval
    registrar = Registrar(resources, registries, registry_client, interval=interval)
    async with aclosing(registry_client), registrar.running():
        yield
